"""Reading and writing every format."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from fcos_d2.datasets.formats import WRITTEN, read_dataset, write_dataset


@pytest.fixture(scope="module")
def bccd(shared_dir) -> Path:
    return shared_dir / "data" / "bccd"


def flat(coco: dict) -> list[tuple]:
    """(image, class, x, y, w, h) of every box, in an order of its own."""
    files = {image["id"]: Path(image["file_name"]).name for image in coco["images"]}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    boxes = (
        (files[a["image_id"]], names[a["category_id"]], *map(float, a["bbox"]))
        for a in coco["annotations"]
    )
    return sorted(boxes, key=lambda box: (*box[:2], *(round(x, 1) for x in box[2:])))


def assert_same_boxes(found: dict, expected: dict, tolerance: float) -> None:
    assert len(found["annotations"]) == len(expected["annotations"])
    for a, b in zip(flat(found), flat(expected), strict=True):
        assert a[:2] == b[:2]
        assert a[2:] == pytest.approx(b[2:], abs=tolerance)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_bccd_as_voc_is_bccd_as_coco(bccd, split):
    coco, problems, images, _ = read_dataset(f"{bccd}:{split}")
    expected = json.loads((bccd / "coco" / f"instances_{split}.json").read_text())
    assert images == bccd / "JPEGImages"
    assert flat(coco) == flat(expected)
    without_area = {"train": ["BloodImage_00343.xml"], "val": ["BloodImage_00338.xml"], "test": []}
    assert [p.where.split(":")[0] for p in problems] == without_area[split]


@pytest.mark.parametrize("target", WRITTEN)
def test_there_and_back(bccd, tmp_path, target):
    """Within rounding: YOLO has six decimals of a share of 640 px."""
    coco, _, images, _ = read_dataset(f"{bccd}:test")
    names = {"coco": "a.json", "csv": "a.csv", "txt": "a.txt"}
    written = write_dataset(coco, images, tmp_path / names.get(target, "folder"), target)
    classes = {"csv": tmp_path / "classes.csv", "txt": tmp_path / "classes.txt"}.get(target)
    given = None if target in ("voc", "yolo") else images
    back, problems, folder, name = read_dataset(written, images=given, classes=classes)
    assert name == target and not problems
    assert len(back["images"]) == len(coco["images"]) == 72
    assert [c["name"] for c in back["categories"]] == ["Platelets", "RBC", "WBC"]
    assert_same_boxes(back, coco, tolerance=0.002 if target == "yolo" else 1e-6)
    assert all((folder / image["file_name"]).is_file() for image in back["images"])


def test_voc_sample(shared_dir):
    """Two layouts; boxes of <part> do not count."""
    sample = shared_dir / "data" / "voc_sample"
    for year, split in (("VOC2007", "train"), ("VOC2012", "val")):
        coco, problems, _, _ = read_dataset(f"{sample / 'VOCdevkit' / year}:trainval")
        expected = json.loads((sample / "coco" / f"instances_{split}.json").read_text())
        assert not problems and flat(coco) == flat(expected)


# --- small datasets written by hand -------------------------------------------------------------


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two images of 40 x 20 px, a.png and b.png."""
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / "images" / name), np.zeros((20, 40, 3), np.uint8))
    return tmp_path


def test_yolo_by_hand(folder):
    (folder / "labels").mkdir()
    # 0.5 * 40 +- 0.25 * 40 / 2 = 15..25; 0.5 * 20 +- 0.5 * 20 / 2 = 5..15. A triangle; a bad line.
    lines = "1 0.5 0.5 0.25 0.5\n0 0.1 0.1 0.2 0.5 0.15 0.2\n7 0.5 0.5 0.1 0.1\n"
    (folder / "labels" / "a.txt").write_text(lines)
    (folder / "data.yaml").write_text("train: images\nnames:\n  0: cat\n  1: dog\n")
    coco, problems, _, _ = read_dataset(folder / "data.yaml")
    assert [(a["category_id"], a["bbox"]) for a in coco["annotations"]] == [
        (2, [15, 5, 10, 10]),
        (1, pytest.approx([4, 2, 4, 8])),
    ]
    assert len(coco["images"]) == 2, "b.png has no label file, so no objects"
    assert [p.where for p in problems] == ["a.txt line 3: '7 0.5 0.5 0.1 0.1' (2 classes)"]
    with pytest.raises(ValueError, match="no split 'val'; it has train"):
        read_dataset(f"{folder / 'data.yaml'}:val")


def test_csv_by_hand(folder):
    rows = "images/a.png,15,5,25,15,dog\nimages/b.png,,,,,\nimages/c.png,1,1,2,2,dog\n"
    (folder / "boxes.csv").write_text(rows + "images/a.png,1,1,2,2,cow\n")
    (folder / "classes.csv").write_text("cat,0\ndog,1\n")
    coco, problems, _, _ = read_dataset(folder / "boxes.csv", classes=folder / "classes.csv")
    assert [(a["category_id"], a["bbox"]) for a in coco["annotations"]] == [(2, [15, 5, 10, 10])]
    assert [image["file_name"] for image in coco["images"]] == ["images/a.png", "images/b.png"]
    assert {p.kind for p in problems} == {"image file missing", "unknown category"}
    assert read_dataset(folder / "boxes.csv").coco == coco  # classes.csv lies beside it


def test_txt_by_hand(folder):
    shutil.copy(folder / "images" / "a.png", folder / "images" / "a b.png")
    (folder / "boxes.txt").write_text("a b.png 15,5,25,15,1 0,0,4,4,0\nb.png\na.png 1,2,x,4,0\n")
    (folder / "names.txt").write_text("cat\ndog\n")
    coco, problems, _, _ = read_dataset(
        folder / "boxes.txt", images=folder / "images", classes=folder / "names.txt"
    )
    assert [(a["image_id"], a["category_id"], a["bbox"]) for a in coco["annotations"]] == [
        (1, 2, [15, 5, 10, 10]),
        (1, 1, [0, 0, 4, 4]),
    ]
    assert [image["file_name"] for image in coco["images"]] == ["a b.png", "b.png", "a.png"]
    assert [p.kind for p in problems] == ["box that is not four numbers"]
    with pytest.raises(ValueError, match="txt needs a file of class names: use --classes"):
        read_dataset(folder / "boxes.txt")


def test_free_folder_of_xml(folder):
    box = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>10</xmax><ymax>12</ymax></bndbox>"
    xml = f"<annotation><object><name>cat</name>{box}</object></annotation>"
    (folder / "images" / "a.xml").write_text(xml)
    coco, problems, images, name = read_dataset(folder / "images")
    assert (name, images, problems) == ("voc", folder / "images", [])
    assert [a["bbox"] for a in coco["annotations"]] == [[1, 2, 9, 10]]
    (folder / "xml").mkdir()
    (folder / "images" / "a.xml").rename(folder / "xml" / "a.xml")
    coco, _, images, _ = read_dataset(folder / "xml", images=folder / "images")
    assert images == folder / "images" and len(coco["annotations"]) == 1


def test_what_is_no_dataset(folder):
    for path, message in (
        (folder / "nowhere", "no such file or folder"),
        (folder / "images" / "a.png", "no known format; name it with --data-format"),
    ):
        with pytest.raises(ValueError, match=message):
            read_dataset(path)
    with pytest.raises(ValueError, match="format must be one of .*got 'tfrecord'"):
        read_dataset(folder, format="tfrecord")
