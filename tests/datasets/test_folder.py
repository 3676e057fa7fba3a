"""Folders as tools export them: what is found in them, and what is read from it."""

import os
import shutil
from pathlib import Path

import pytest
from layouts import BOXES, LAYOUTS, one_json, voc_devkit, write_coco, write_images

from fcos_d2.datasets.folder import ALL_OF_IT, data_in, find_data
from fcos_d2.datasets.formats import read_dataset
from fcos_d2.datasets.own_data import DataFiles
from fcos_d2.datasets.splitting import make_split


def boxes_of(files: DataFiles) -> dict[str, list]:
    """What is read without a problem: the boxes of each image, as `BOXES` has them."""
    read = read_dataset(files.data, images=files.images)
    assert [p for p in read.problems if p.severity != "note"] == []
    names = {x["id"]: Path(x["file_name"]).stem for x in read.coco["images"]}
    classes = {x["id"]: x["name"] for x in read.coco["categories"]}
    boxes = {name: [] for name in names.values()}
    for a in read.coco["annotations"]:
        x, y, w, h = (round(v, 3) for v in a["bbox"])
        boxes[names[a["image_id"]]].append((classes[a["category_id"]], x, y, x + w, y + h))
    return boxes


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_recognised_with_its_splits_and_boxes(tmp_path, layout):
    write, *splits = LAYOUTS[layout]
    folder = tmp_path / "<script> ü"
    folder.mkdir()
    write(folder)
    found = find_data(folder)
    assert found.lines[0].startswith(f"found {found.layout}: train ")
    for files, names in zip((found.train, found.val, found.test), splits, strict=True):
        if names is None:
            assert files is None
        else:
            assert boxes_of(files) == {name: BOXES[name] for name in names}


def test_equal_names_in_two_splits_are_not_equal_images(tmp_path):
    for split in ("train", "valid"):
        write_images(tmp_path / split, ["c"])
        write_coco(tmp_path / split / "_annotations.coco.json", ["c"])
    found = find_data(tmp_path)
    assert (found.train.images, found.val.images) == (
        str(tmp_path / "train"),
        str(tmp_path / "valid"),
    )


def test_two_readings_of_the_same_data(tmp_path):
    voc_devkit(tmp_path)
    write_coco(tmp_path / "coco" / "train.json", ["a b", "ä", "c"])
    write_coco(tmp_path / "coco" / "val.json", ["d"])
    found = find_data(tmp_path)
    assert found.format == "coco"
    assert "Pascal VOC devkit is there, too, with the same images and boxes" in found.lines[1]
    assert find_data(tmp_path, format="voc").train.data.endswith("VOC2012:train")


def test_what_cannot_be_read_does_not_hide_another_dataset(tmp_path):
    voc_devkit(tmp_path)
    write_coco(tmp_path / "old" / "instances.json", ["c"], prefix="gone ")
    found = find_data(tmp_path)
    assert found.format == "voc"
    assert [line for line in found.lines if "passed over" in line] == [
        f"passed over: {tmp_path / 'old' / 'instances.json'}: none of its images, such as "
        f"'gone c.png', is in {tmp_path}; name their folder with --train-data FILE --train-images "
        "DIR"
    ]


def test_a_dataset_without_training_data_does_not_hide_another(tmp_path):
    voc_devkit(tmp_path)
    for split, name in (("val", "c"), ("test", "d")):
        write_coco(tmp_path / f"{split}.json", [name])
    found = find_data(tmp_path)
    assert found.format == "voc"
    assert "val and test are there, but no training data" in found.lines[-1]


def test_the_format_that_was_chosen_is_read(tmp_path):
    LAYOUTS["label studio yolo"][0](tmp_path)
    (tmp_path / "Annotations").mkdir()  # by which another format is recognised
    found = find_data(tmp_path)
    assert found.train.read().format == "yolo"
    assert make_split(found.train, tmp_path / "out", format="auto")[0].read().format == "coco"


def test_two_readings_that_differ(tmp_path):
    voc_devkit(tmp_path)
    write_coco(tmp_path / "train.json", ["a b", "ä"])
    with pytest.raises(ValueError, match=r"devkit and as COCO json .4 and 2 images, 2 .*voc\|coco"):
        find_data(tmp_path)


@pytest.mark.parametrize(("where", "given"), [("", "birds"), ("birds", ".")])
def test_the_folder_itself_is_shown_by_its_name(tmp_path, monkeypatch, where, given):
    LAYOUTS["label studio yolo"][0](tmp_path / "birds")
    monkeypatch.chdir(tmp_path / where)
    assert "train birds:train (4 images)" in find_data(given).lines[0]


def test_two_files_for_one_split(tmp_path):
    one_json(tmp_path)
    write_coco(tmp_path / "other.json", ["c"])
    with pytest.raises(ValueError, match=r"2 COCO files, my boxes.json and other.json; .*--train"):
        find_data(tmp_path)


def test_a_file_that_contains_the_splits_is_passed_over(tmp_path):
    write_images(tmp_path / "images", [*BOXES])
    for name, images in (("all", [*BOXES]), ("train", ["a b", "c"]), ("val", ["ä", "d"])):
        write_coco(tmp_path / "annotations" / f"instances_{name}.json", images)
    found = find_data(tmp_path)
    assert {*boxes_of(found.val)} == {"ä", "d"}
    assert (
        found.lines[1] == "annotations/instances_all.json contains train and val, and is not read"
    )


def _empty(folder: Path) -> None:
    (folder / "train").mkdir()


def _zero_bytes(folder: Path) -> None:
    (folder / "train.json").touch()
    write_images(folder, ["c"])


def _classification(folder: Path) -> None:
    for name in ("cat", "dog"):
        write_images(folder / name, ["c"])


def _without_images(folder: Path) -> None:
    write_coco(folder / "train.json", ["c"])


@pytest.mark.parametrize(
    ("write", "line"),
    [
        (_empty, "the folder is empty"),
        (_zero_bytes, "train.json is empty"),
        (_classification, "classification"),
        (_without_images, "none of its images, such as 'c.png'"),
    ],
)
def test_what_is_no_dataset_is_said(tmp_path, write, line):
    write(tmp_path)
    with pytest.raises(ValueError, match=line):
        find_data(tmp_path)


def test_links_in_a_circle_end(tmp_path):
    one_json(tmp_path)
    os.symlink(tmp_path, tmp_path / "again", target_is_directory=True)
    assert len(boxes_of(find_data(tmp_path).train)) == 4


def test_a_split_outside_of_the_folder_is_said(tmp_path):
    LAYOUTS["ultralytics yolo"][0](tmp_path / "in")
    shutil.move(tmp_path / "in" / "images", tmp_path / "images")
    shutil.move(tmp_path / "in" / "labels", tmp_path / "labels")
    text = (tmp_path / "in" / "animals.yaml").read_text().replace("../datasets/animals", "..")
    (tmp_path / "in" / "animals.yaml").write_text(text)
    assert "leads out of the folder" in find_data(tmp_path / "in").lines[1]


def test_one_set_of_a_folder(tmp_path):
    LAYOUTS["roboflow coco"][0](tmp_path)
    for given, split in ((str(tmp_path), "valid"), (f"{tmp_path}:test", "test")):
        files, lines = data_in(DataFiles(given), "val")
        assert files.images == str(tmp_path / split) and lines
    one_json(tmp_path / "b")
    with pytest.raises(ValueError, match=r"no test set in it; take .*b:train"):
        data_in(DataFiles(f"{tmp_path / 'b'}:test"), "val")


def test_the_split_of_a_training_is_found_beside_its_weights(tmp_path):
    one_json(tmp_path / "data")
    given, out = DataFiles(str(tmp_path / "data")), tmp_path / "out"
    files, lines = data_in(given, "val", beside=[out])
    assert files == find_data(given.data).train and lines[-1] == ALL_OF_IT
    _, val, _ = make_split(files, out)
    files, lines = data_in(given, "val", beside=[tmp_path, out])
    assert files == val and "the validation set that training made" in lines[-1]
    assert data_in(given, "val", beside=[tmp_path])[0] != val


def test_a_list_of_voc_keeps_its_meaning(tmp_path):
    voc_devkit(tmp_path)
    given = DataFiles(f"{tmp_path}/VOCdevkit/VOC2012:trainval")
    assert data_in(given, "val") == (given, [])
