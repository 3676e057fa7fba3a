"""Which folder holds the images, what is no data, and which split a name says."""

from pathlib import Path

import pytest
from layouts import (
    BOXES,
    TRAIN,
    VAL,
    labelme,
    one_json,
    roboflow_yolo,
    voc_apart,
    write_coco,
    write_image,
    write_images,
    write_xml,
)

from fcos_d2.datasets.folder import find_data
from fcos_d2.datasets.layouts import Tree
from fcos_d2.datasets.own_data import register_own_data
from fcos_d2.datasets.splitting import earlier_split, make_split


def _coco(folder: Path) -> None:
    write_images(folder / "images", [*BOXES])
    write_coco(folder / "annotations.json", [*BOXES])


def _coco_splits(folder: Path) -> None:
    for split, names in (("train", TRAIN), ("val", VAL)):
        write_images(folder / "images" / split, names)
        write_images(folder / "vis" / split, names)
        write_coco(folder / "annotations" / f"instances_{split}.json", names)


def _coco_in_one_folder(folder: Path) -> None:
    """`vis/train` is called after the split, `images` is not."""
    write_images(folder / "images", [*BOXES])
    write_images(folder / "vis" / "train", TRAIN)
    write_coco(folder / "annotations" / "train.json", TRAIN)


def _pets(folder: Path) -> None:
    """As Oxford-IIIT Pets: the masks are nearer to the xml files than the images."""
    write_images(folder / "images", [*BOXES])
    write_images(folder / "annotations" / "trimaps", [*BOXES])
    write_xml(folder / "annotations" / "xmls", [*BOXES])


def _labelme(folder: Path) -> None:
    labelme(folder)
    for path in folder.glob("*.json"):
        path.rename(path.parent / "json" / path.name)
    for path in folder.glob("*.png"):
        path.rename(path.parent / "images" / path.name)


@pytest.mark.parametrize(
    ("write", "other", "images"),
    [
        (_coco, "masks", "images"),
        (_coco, "images_640", "images"),
        (_coco, "visualized/all", "images"),
        (_coco_splits, "vis/train", "images/train"),
        (_coco_in_one_folder, "vis/train", "images"),
        (_pets, "annotations/trimaps", "images"),
        (voc_apart, "masks", "images"),
        (_labelme, "vis", "images"),
    ],
)
def test_the_usual_folder_of_images_is_taken_and_the_other_one_said(tmp_path, write, other, images):
    for name in ("json", "images"):
        (tmp_path / name).mkdir()
    write(tmp_path)
    if not (tmp_path / other).exists():
        write_images(tmp_path / other, [*BOXES])
    found = find_data(tmp_path)
    assert found.train.images == str(tmp_path / images)
    assert found.lines[1].startswith(f"images are taken from {images}")
    assert other in found.lines[1] and "--train-images" in found.lines[1]


def test_a_folder_of_the_other_split_is_no_choice(tmp_path):
    """`new_train` is an unusual name, and `val` a usual one."""
    for folder, names in (("new_train", ["c"]), ("val", ["c"])):
        write_images(tmp_path / folder, names)
        write_coco(tmp_path / "annotations" / f"{folder}.json", names)
    found = find_data(tmp_path)
    assert found.train.images == str(tmp_path / "new_train")
    assert found.val.images == str(tmp_path / "val")
    assert len(found.lines) == 1


def test_images_beside_their_annotations_are_no_choice(tmp_path):
    one_json(tmp_path)
    write_images(tmp_path / "images", [*BOXES])
    found = find_data(tmp_path)
    assert found.train.images == str(tmp_path) and len(found.lines) == 1


@pytest.mark.parametrize("write", [_coco, roboflow_yolo])
def test_what_a_training_wrote_is_no_data(tmp_path, write):
    """The second `fcos train .` in a folder, whose first has written output/<name>."""
    write(tmp_path)
    first, output = find_data(tmp_path), tmp_path / "output" / "birds"
    train, val, _ = make_split(first.train, output)
    register_own_data(train, val, output, compare=False)
    write_image(output / "inference" / "images" / "c.png")
    again = find_data(tmp_path)
    assert again[:5] == first[:5]
    assert again.lines[1] == "what a training wrote into output/birds is passed over"
    assert earlier_split(again.train, output) == val


def test_an_output_folder_that_is_that_of_the_data(tmp_path):
    _coco(tmp_path)
    first = find_data(tmp_path)
    register_own_data(*make_split(first.train, tmp_path)[:2], tmp_path, compare=False)
    again = find_data(tmp_path)
    assert again[:5] == first[:5] and "passed over" in again.lines[1]


def test_a_folder_of_nothing_but_a_run_is_looked_into(tmp_path):
    _coco(tmp_path / "data")
    train = find_data(tmp_path / "data").train
    register_own_data(train, None, tmp_path / "output" / "data", compare=False)
    with pytest.raises(ValueError, match=r"own_train.json: none of its images"):
        find_data(tmp_path / "output")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("VisDrone2019-DET_test-dev.json", "test"),
        ("instances_dev.json", "val"),
        ("trainval.json", None),
        ("train_val.json", None),
    ],
)
def test_the_split_that_a_name_says(tmp_path, name, split):
    assert Tree(tmp_path).split_of(tmp_path / name) == split
