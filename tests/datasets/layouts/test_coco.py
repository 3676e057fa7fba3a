"""Several COCO files in one folder, and images that are not where or what the names say."""

import json
import unicodedata
from pathlib import Path

import pytest
from layouts import BOXES, TRAIN, VAL, write_coco, write_images

from fcos_d2.datasets.folder import FoundData, find_data
from fcos_d2.datasets.formats import read_dataset
from fcos_d2.datasets.own_data import DataFiles


def file_names(files: DataFiles | None) -> set[str]:
    """Those of the images that are read, all without an error."""
    assert files is not None
    read = read_dataset(files.data, images=files.images)
    assert [p for p in read.problems if p.severity != "note"] == []
    return {x["file_name"] for x in read.coco["images"]}


def said(found: FoundData, *words: str) -> bool:
    """Whether one of the lines has all the words."""
    return any(all(word in line for word in words) for line in found.lines)


# --- several files ------------------------------------------------------------------------------


@pytest.mark.parametrize(("there", "gone"), [("train", "val"), ("val", "train")])
def test_a_set_without_its_images_is_passed_over(tmp_path, there, gone):
    names = {"train": TRAIN, "val": VAL}
    write_images(tmp_path / f"{there}2017", names[there])
    for split in names:
        write_coco(tmp_path / "annotations" / f"instances_{split}2017.json", names[split])
    found = find_data(tmp_path)
    assert file_names(found.train) == {f"{name}.png" for name in names[there]}
    assert found.val is None
    assert said(found, f"instances_{gone}2017.json: none of its images", "passed over")


def test_a_set_of_no_image_is_passed_over(tmp_path):
    write_images(tmp_path / "train", TRAIN)
    write_coco(tmp_path / "train" / "_annotations.coco.json", TRAIN)
    write_coco(tmp_path / "valid" / "_annotations.coco.json", [])
    found = find_data(tmp_path)
    assert len(file_names(found.train)) == 3 and found.val is None
    assert said(found, "valid/_annotations.coco.json: no image is named in it; passed over")


def test_without_the_images_to_learn_from_their_file_is_named(tmp_path):
    for split, names in (("train", TRAIN), ("val", VAL), ("test", VAL)):
        write_coco(tmp_path / f"{split}.json", names)
    write_images(tmp_path / "images", VAL)
    with pytest.raises(ValueError, match=r"train.json: none of its images, .*--train-images"):
        find_data(tmp_path)


def test_of_two_files_that_with_the_images_that_are_there_is_taken(tmp_path):
    """As FiftyOne's zoo downloads a part of COCO: `raw` has the annotations of all."""
    write_images(tmp_path / "train" / "data", ["a b", "c"])
    write_coco(tmp_path / "raw" / "instances_train2017.json", [*BOXES])
    write_coco(tmp_path / "train" / "labels.json", ["a b", "c"])
    found = find_data(tmp_path)
    assert file_names(found.train) == {"a b.png", "c.png"}
    assert said(found, "raw/instances_train2017.json: some of the images are missing")
    write_coco(tmp_path / "train" / "labels.json", ["c"])  # fewer than are there
    with pytest.raises(ValueError, match="2 COCO files"):
        find_data(tmp_path)


def test_a_copy_is_passed_over_and_a_changed_one_is_not(tmp_path):
    write_images(tmp_path / "images", [*BOXES])
    for name in ("boxes", "boxes (1)"):
        write_coco(tmp_path / f"{name}.json", [*BOXES])
    assert said(find_data(tmp_path), "boxes.json: the same as boxes (1).json; passed over")
    data = json.loads((tmp_path / "boxes.json").read_text())
    data["annotations"][0]["bbox"] = [2, 4, 8, 8]
    (tmp_path / "boxes.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match="2 COCO files"):
        find_data(tmp_path)


def test_trainval_beside_its_parts_is_passed_over(tmp_path):
    write_images(tmp_path / "images", [*BOXES])
    sets = {"train": ["a b"], "val": ["c"], "test": ["d"], "trainval": ["a b", "c"]}
    for name, images in sets.items():
        write_coco(tmp_path / "annotations" / f"{name}.json", images)
    found = find_data(tmp_path)
    assert [file_names(x) for x in (found.train, found.val, found.test)] == [
        {"a b.png"},
        {"c.png"},
        {"d.png"},
    ]
    assert said(found, "annotations/trainval.json contains train and val, and is not read")


# --- names and folders --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "there"),
    [
        ("a.png", "a.PNG"),
        ("Images/a.png", "images/A.png"),
        (unicodedata.normalize("NFC", "ü.png"), unicodedata.normalize("NFD", "ü.png")),
        ("../../label-studio/data/media/upload/1/01a2b3c4-a.png", "a.png"),
        ("/data/upload/1/my%20a.png", "my a.png"),
        ("/data/local-files/?d=my%20a.png", "my a.png"),
        ("https://host/photos/a.png?token=x/y", "a.png"),
    ],
)
def test_a_name_that_is_written_otherwise(tmp_path, stated, there):
    write_images(tmp_path / "photos", ["c"])
    image = tmp_path / "photos" / there
    image.parent.mkdir(exist_ok=True)
    (tmp_path / "photos" / "c.png").rename(image)
    _write_named(tmp_path / "result.json", [stated])
    assert file_names(find_data(tmp_path).train) == {there}


def test_two_names_are_not_one_image(tmp_path):
    """Two uploads of the name a.png: it is unknown which one the file is."""
    write_images(tmp_path / "images", ["c"])
    _write_named(tmp_path / "result.json", ["x/01a2b3c4-c.png", "x/11a2b3c4-c.png"])
    train = find_data(tmp_path).train
    read = read_dataset(train.data, images=train.images)
    assert len(read.coco["images"]) == 1
    assert "image file missing" in [p.kind for p in read.problems]


def test_another_ending_is_said(tmp_path):
    write_images(tmp_path / "images", ["c"])
    _write_named(tmp_path / "a.json", ["c.jpg"])
    with pytest.raises(ValueError, match=r"none of its images, .*'c.jpg'.* there is images/c.png"):
        find_data(tmp_path)


def test_images_in_several_folders(tmp_path):
    write_images(tmp_path / "images" / "cam0", ["a b", "c"])
    write_images(tmp_path / "images" / "cam1", ["d"])
    write_coco(tmp_path / "a.json", ["a b", "c", "d"])
    found = find_data(tmp_path)
    assert file_names(found.train) == {"cam0/a b.png", "cam0/c.png", "cam1/d.png"}
    assert said(found, "a.json: its images are in images/cam0 and images/cam1")


def test_the_same_name_in_several_folders_is_not_guessed(tmp_path):
    write_images(tmp_path / "images" / "cam0", ["c", "d"])
    write_images(tmp_path / "images" / "cam1", ["c"])
    write_coco(tmp_path / "a.json", ["c", "d"])
    assert find_data(tmp_path).train.images == str(tmp_path / "images" / "cam0")
    read = read_dataset(tmp_path / "a.json", images=tmp_path / "images")
    missing = next(p for p in read.problems if p.kind == "image file missing")
    assert "cam0/c.png and" in missing.detail and "cam1/c.png" in missing.detail
    assert [x["file_name"] for x in read.coco["images"]] == ["cam0/d.png"]


def _write_named(path: Path, names: list[str]) -> None:
    """A COCO json of images of these names, each with the box of "c"."""
    write_coco(path, ["c"])
    data = json.loads(path.read_text())
    image, annotation = data["images"][0], data["annotations"][0]
    numbered = [*enumerate(names, start=1)]
    data["images"] = [{**image, "id": i, "file_name": name} for i, name in numbered]
    data["annotations"] = [{**annotation, "id": i, "image_id": i} for i, _ in numbered]
    path.write_text(json.dumps(data))


def test_absolute_names_in_a_file_of_a_split(tmp_path):
    write_images(tmp_path / "images", TRAIN)
    write_coco(tmp_path / "train.json", TRAIN, prefix=f"{tmp_path}/images/")
    found = find_data(tmp_path)
    assert len(file_names(found.train)) == len(TRAIN)


def test_a_file_of_all_images_beside_validation_alone(tmp_path):
    write_images(tmp_path, [*BOXES])
    write_coco(tmp_path / "annotations.json", [*BOXES])
    write_coco(tmp_path / "val.json", VAL)
    line = "2 COCO files, annotations.json and val.json; which one is the training data"
    with pytest.raises(ValueError, match=line):
        find_data(tmp_path)
