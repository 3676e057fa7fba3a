import json

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from fcos_d2.data.own_data import register_own_data


def write_coco(folder, categories, category_ids=(7,), name="a.json"):
    images = folder / "images"
    images.mkdir(exist_ok=True)
    (images / "1.jpg").write_bytes(b"not looked into here")
    annotations = [
        {"id": i, "image_id": 1, "category_id": c, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}
        for i, c in enumerate(category_ids)
    ]
    data = {
        "images": [{"id": 1, "file_name": "1.jpg", "height": 10, "width": 10}],
        "annotations": annotations,
        "categories": [{"id": i, "name": n} for i, n in categories.items()],
    }
    (folder / name).write_text(json.dumps(data))
    return str(folder / name), str(images)


def test_class_order_follows_the_ids(tmp_path):
    own = register_own_data(*write_coco(tmp_path, {9: "dog", 7: "cat"}, (9, 7)), None, None)
    assert own == ("own_train", None, ["cat", "dog"])
    records = DatasetCatalog.get("own_train")
    assert [a["category_id"] for a in records[0]["annotations"]] == [1, 0]
    assert MetadataCatalog.get("own_train").thing_classes == ["cat", "dog"]


def test_registering_again_replaces(tmp_path):
    register_own_data(*write_coco(tmp_path, {7: "cat"}), None, None)
    own = register_own_data(*write_coco(tmp_path, {7: "horse"}), None, None)
    assert own.class_names == ["horse"]
    DatasetCatalog.get("own_train")
    assert MetadataCatalog.get("own_train").thing_classes == ["horse"]


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda d: d.update(categories=[]), "'categories' is empty"),
        (lambda d: d.pop("images"), "no list 'images'"),
        (lambda d: d["categories"].append({"id": 7, "name": "x"}), "an id of its own"),
        (lambda d: d["categories"].append({"id": "8", "name": "x"}), "'8' is not an integer"),
        (lambda d: d["annotations"][0].update(category_id=3), "annotation 0 has category_id 3"),
        (lambda d: d["images"][0].update(file_name="2.jpg"), "1 of 1 images are not in"),
    ],
)
def test_contradictions_name_the_file(tmp_path, damage, message):
    json_file, images = write_coco(tmp_path, {7: "cat"})
    data = json.loads((tmp_path / "a.json").read_text())
    damage(data)
    (tmp_path / "a.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match=f"a.json.*{message}"):
        register_own_data(json_file, images, None, None)


def test_train_and_val_must_agree(tmp_path):
    train = write_coco(tmp_path, {7: "cat"}, name="train.json")
    val = write_coco(tmp_path, {7: "dog"}, name="val.json")
    with pytest.raises(ValueError, match=r"train.json and .*val.json disagree.*id 7 \('cat'\)"):
        register_own_data(*train, *val)


def test_unreadable_json(tmp_path):
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match="bad.json: not valid JSON"):
        register_own_data(str(tmp_path / "bad.json"), str(tmp_path), None, None)
    with pytest.raises(ValueError, match="none.json: cannot be read"):
        register_own_data(str(tmp_path / "none.json"), str(tmp_path), None, None)
    with pytest.raises(ValueError, match="--train-json and --train-images go together"):
        register_own_data("x.json", None, None, None)
