import json
import logging

import cv2
import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from scenes import scene, write_scene

from fcos_d2.datasets.own_data import DataFiles, register_own_data


def write_coco(folder, categories, category_ids=(7,), name="a.json"):
    images = folder / "images"
    images.mkdir(exist_ok=True)
    cv2.imwrite(str(images / "1.png"), np.zeros((10, 10, 3), np.uint8))
    annotations = [
        {"id": i, "image_id": 1, "category_id": c, "bbox": [i, 2, 3, 4], "area": 12, "iscrowd": 0}
        for i, c in enumerate(category_ids, start=1)
    ]
    data = {
        "images": [{"id": 1, "file_name": "1.png", "height": 10, "width": 10}],
        "annotations": annotations,
        "categories": [{"id": i, "name": n} for i, n in categories.items()],
    }
    (folder / name).write_text(json.dumps(data))
    return DataFiles(str(folder / name), str(images))


def test_class_order_follows_the_ids(tmp_path):
    train = write_coco(tmp_path, {9: "dog", 7: "cat"}, (9, 7))
    own = register_own_data(train, None, tmp_path / "out")
    assert own == ("own_train", None, None, ["cat", "dog"])
    records = DatasetCatalog.get("own_train")
    assert [a["category_id"] for a in records[0]["annotations"]] == [1, 0]
    assert MetadataCatalog.get("own_train").thing_classes == ["cat", "dog"]


def test_registering_again_replaces(tmp_path):
    register_own_data(write_coco(tmp_path, {7: "cat"}), None, tmp_path)
    own = register_own_data(write_coco(tmp_path, {7: "horse"}), None, tmp_path)
    assert own.class_names == ["horse"]
    DatasetCatalog.get("own_train")
    assert MetadataCatalog.get("own_train").thing_classes == ["horse"]


def test_what_can_be_repaired_is_repaired_and_said(tmp_path, caplog):
    train = write_coco(tmp_path, {7: "cat"}, (7, 7))
    data = json.loads((tmp_path / "a.json").read_text())
    data["annotations"][0]["bbox"] = [1, 2, 0, 4]
    (tmp_path / "a.json").write_text(json.dumps(data))
    register_own_data(train, None, tmp_path / "out")
    assert len(DatasetCatalog.get("own_train")[0]["annotations"]) == 1
    assert "box without area: 1 (left out): annotation 1 of 1.png" in caplog.text
    assert (tmp_path / "out" / "own_train.json").is_file()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d.update(categories=[]), "'categories' is empty"),
        (lambda d: d.pop("images"), "no list 'images'"),
        (lambda d: d["categories"].append({"id": 7, "name": "x"}), "an id of its own"),
        (lambda d: d["annotations"][0].update(category_id=3), "1 error: .*category_id 3.*--fix"),
        (
            lambda d: d["images"][0].update(file_name="2.jpg"),
            "nothing is left.*file missing.*2.jpg",
        ),
    ],
)
def test_mistakes_name_the_file(tmp_path, damage, message):
    train = write_coco(tmp_path, {7: "cat"}, (7, 7))
    data = json.loads((tmp_path / "a.json").read_text())
    damage(data)
    (tmp_path / "a.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match=f"a.json.*{message}"):
        register_own_data(train, None, tmp_path)


def test_without_the_check_what_is_wrong_is_left_out(tmp_path):
    train = write_coco(tmp_path, {7: "cat"}, (7, 3))
    with pytest.raises(ValueError, match="unknown category"):
        register_own_data(train, None, tmp_path)
    register_own_data(train, None, tmp_path, check=False)
    assert len(DatasetCatalog.get("own_train")[0]["annotations"]) == 1


def test_train_and_val_agree_by_name(tmp_path):
    train = write_coco(tmp_path, {7: "cat", 8: "dog"}, (7, 8), name="train.json")
    val = write_coco(tmp_path, {1: "dog"}, (1,), name="val.json")
    own = register_own_data(train, val, tmp_path / "out")
    assert own.class_names == ["cat", "dog"]
    assert [a["category_id"] for a in DatasetCatalog.get("own_val")[0]["annotations"]] == [1]
    other = write_coco(tmp_path, {1: "cow"}, (1,), name="other.json")
    message = r"other.json has the class 'cow', which .*train.json does not have; .* cat, dog"
    with pytest.raises(ValueError, match=message):
        register_own_data(train, other, tmp_path / "out")


def test_unreadable_files(tmp_path):
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match="bad.json: not valid JSON"):
        register_own_data(DataFiles(str(tmp_path / "bad.json")), None, tmp_path)
    with pytest.raises(ValueError, match="none.json: no such file or folder"):
        register_own_data(DataFiles(str(tmp_path / "none.json")), None, tmp_path)
    with pytest.raises(ValueError, match="no data given: use --train-data"):
        register_own_data(None, None, tmp_path)


def test_a_yolo_file_gives_both_sets(tmp_path):
    for split, label in (("train", "0 0.5 0.5 0.2 0.2"), ("val", "1 0.5 0.5 0.4 0.4")):
        (tmp_path / split / "images").mkdir(parents=True)
        (tmp_path / split / "labels").mkdir()
        cv2.imwrite(str(tmp_path / split / "images" / "1.png"), np.zeros((10, 10, 3), np.uint8))
        (tmp_path / split / "labels" / "1.txt").write_text(label)
    yaml = "train: train/images\nval: val/images\nnames: [cat, dog]\n"
    (tmp_path / "data.yaml").write_text(yaml)
    files = DataFiles(str(tmp_path / "data.yaml"))
    own = register_own_data(files, files, tmp_path / "out")
    assert own == ("own_train", "own_val", None, ["cat", "dog"])
    found = [DatasetCatalog.get(name)[0]["annotations"][0] for name in ("own_train", "own_val")]
    assert [(x["category_id"], x["bbox"]) for x in found] == [
        (0, pytest.approx([4, 4, 2, 2])),
        (1, pytest.approx([3, 3, 4, 4])),
    ]


def test_near_duplicates_across_two_sets_are_warned_about_once(tmp_path, caplog):
    sets = []
    for split, quality in (("train", 95), ("val", 60)):
        (tmp_path / split).mkdir()
        for i in range(2):
            write_scene(tmp_path / split / f"{i}.jpg", scene(i), quality)
        box = {"bbox": [5, 6, 40, 50], "area": 2000, "iscrowd": 0, "category_id": 1}
        images = [{"id": i, "file_name": f"{i}.jpg", "height": 96, "width": 96} for i in range(2)]
        annotations = [{**box, "id": i, "image_id": i} for i in range(2)]
        categories = [{"id": 1, "name": "x"}]
        coco = {"images": images, "annotations": annotations, "categories": categories}
        (tmp_path / split / "boxes.json").write_text(json.dumps(coco))
        sets.append(DataFiles(str(tmp_path / split / "boxes.json")))
    caplog.set_level(logging.WARNING, logger="fcos_d2")
    register_own_data(*sets, tmp_path / "out")
    (said,) = [x.getMessage() for x in caplog.records if "nearly the same" in x.getMessage()]
    assert said.startswith("2 images of validation are nearly the same as images of training")
    caplog.clear()
    register_own_data(*sets, tmp_path / "out", compare=False)
    assert "nearly the same" not in caplog.text
