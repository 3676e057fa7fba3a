"""The images of a YOLO dataset and where their labels are."""

from pathlib import Path

import pytest

from fcos_d2.datasets.formats.yolo_images import (
    describe_any,
    found_elsewhere,
    items_of,
    yolo_images,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two lists of CVAT, without their images."""
    for split, names in (("train", "ab"), ("val", "ac")):
        (tmp_path / "labels" / split).mkdir(parents=True)
        for name in names:
            (tmp_path / "labels" / split / f"{name}.txt").touch()
        lines = "".join(f"data/images/{split}/{name}.jpg\n" for name in names)
        (tmp_path / f"{split}.txt").write_text(lines)
    (tmp_path / "data.yaml").write_text("train: train.txt\nval: val.txt\nnames: [cat]\n")
    return tmp_path


def test_images_belong_where_their_labels_show(folder):
    images, missing = yolo_images(folder / "data.yaml")
    assert images == {}
    where = folder / "images" / "train" / "a.jpg"
    assert missing[0] == f"the 2 images of 'train' are not there, such as {where}"


def test_images_are_found_by_names_that_only_one_has(folder):
    (folder / "photos").mkdir()
    for name in "abc":
        (folder / "photos" / f"{name}.jpg").touch()
    problems = []
    data = describe_any(folder / "data.yaml")
    items = found_elsewhere(items_of(data, ["train.txt"], []), data, problems)
    assert items == [  # a.jpg may be the one of train or the one of val
        (folder / "images" / "train" / "a.jpg", folder / "labels" / "train" / "a.txt"),
        (folder / "photos" / "b.jpg", folder / "labels" / "train" / "b.txt"),
    ]
    assert [p.where for p in problems] == [
        f"{folder / 'data.yaml'} (b.jpg): taken from {folder / 'photos' / 'b.jpg'}"
    ]


def test_one_image_that_is_missing_is_not_looked_for(folder):
    """It may have been sorted out."""
    for place in ("images/train/a.jpg", "bad/b.jpg"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).touch()
    images, _ = yolo_images(folder / "data.yaml")
    assert images["train"] == [folder / "images" / "train" / x for x in ("a.jpg", "b.jpg")]


@pytest.mark.parametrize("labels", ["labels/set", "images/set"])
def test_labels_beside_images_or_in_labels(tmp_path, labels):
    root = tmp_path / "images" / "set"
    for path in (root / "a.jpg", tmp_path / labels / "a.txt", root / "data.yaml"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("train: .\nnames: [cat]\n")
    items = items_of(describe_any(root / "data.yaml"), ["."], [])
    assert items == [(root / "a.jpg", tmp_path / labels / "a.txt")]
