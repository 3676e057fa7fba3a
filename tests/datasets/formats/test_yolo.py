"""YOLO datasets as the tools of others write them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fcos_d2.datasets.formats import read_dataset

LABEL = "0 0.5 0.5 0.25 0.5\n"  # of 40 x 20 px: [15, 5, 10, 10]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One image of 40 x 20 px with one box, and its data.yaml."""
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text(LABEL)
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat, dog]\n")
    return tmp_path


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((20, 40, 3), np.uint8))


def names_of(folder: Path, text: str) -> list[str]:
    (folder / "data.yaml").write_text(f"train: images\n{text}", encoding="utf-8")
    coco = read_dataset(folder / "data.yaml").coco
    return [category["name"] for category in coco["categories"]]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [no, Off, y, 0x1f, 1_000, 190:20:30, .inf, =, <<]", None),
        ("names:\n- no\n- '010'\n- \"5.10\"\n- !!str ~\n- 2020-99-99", None),
        ("names: {0: no, 1: 010}", ["no", "010"]),
        ("names:\n  1: dog\n  0: cat\n", ["cat", "dog"]),
        ('names: {"0": null, "1": Null}', ["null", "Null"]),
        ("a: &x [no, yes]\nnames: *x", ["no", "yes"]),
        ("names: [猫, two words]", ["猫", "two words"]),
    ],
)
def test_names_as_they_are_written(folder, text, names):
    many = ["no", "Off", "y", "0x1f", "1_000", "190:20:30", ".inf", "=", "<<"]
    listed = ["no", "010", "5.10", "~", "2020-99-99"]
    assert names_of(folder, text) == (names or (many if "Off" in text else listed))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: cat", "no 'names' of the classes"),
        ("names: []", "no 'names' of the classes"),
        ("names: [[cat]]", "no 'names' of the classes"),
        ("names: [cat, '']", "class 1 of 'names' has none"),
        ("names: {1: cat}", r"names must be numbered 0, 1, 2, ..., got \['1'\]"),
        ("names: {a: cat}", r"names must be numbered 0, 1, 2, ..., got \['a'\]"),
        ("names: [cat", "not valid yaml"),
        ("names: " + "{a: " * 3000, "not valid yaml .nested too deeply"),
        ("names: [cat]\nkpt_shape: [17, 4]", r"kpt_shape must be .*got \['17', '4'\]"),
        ("names: [cat]\nkpt_shape: no", r"kpt_shape must be .*got \['no'\]"),
    ],
)
def test_descriptions_that_are_refused(folder, text, words):
    with pytest.raises(ValueError, match=f"data.yaml: {words}") as info:
        names_of(folder, text)
    assert "\n" not in str(info.value)


def test_folders_whose_names_yaml_would_change(folder):
    picture(folder / "010" / "images" / "b.png")
    text = "path: ~\ntrain: 010\nval: null\ntest:\nnames: [cat]\n"
    (folder / "data.yaml").write_text(text)
    read = read_dataset(folder / "data.yaml")
    assert [x["file_name"] for x in read.coco["images"]] == ["010/images/b.png"]
    for split in ("val", "test"):
        with pytest.raises(ValueError, match=f"no split '{split}'; it has train"):
            read_dataset(f"{folder / 'data.yaml'}:{split}")


def test_key_points(folder):
    (folder / "data.yaml").write_text("train: images\nnames: [cat]\nkpt_shape: [2, 2]\n")
    points = " 0.1 0.1 0.9 0.9"
    lines = [LABEL.strip() + points, LABEL.strip(), LABEL.strip() + points + " 0.5 0.5"]
    (folder / "labels" / "a.txt").write_text("\n".join(lines))
    coco, problems, _, _ = read_dataset(folder / "data.yaml")
    assert [a["bbox"] for a in coco["annotations"]] == [[15, 5, 10, 10]] * 2
    assert [str(p) for p in problems] == [
        f"error: line that is not a class and its box: a.txt line 3: {lines[2]!r} "
        "(1 classes, 2 key points); left out"
    ]


def test_a_class_is_a_whole_number(folder):
    (folder / "labels" / "a.txt").write_text("0.5 0.5 0.5 0.2 0.2\n1.0 0.5 0.5 0.25 0.5\n")
    coco, problems, _, _ = read_dataset(folder / "data.yaml")
    assert [(a["category_id"], a["bbox"]) for a in coco["annotations"]] == [(2, [15, 5, 10, 10])]
    assert len(problems) == 1


def test_an_image_whose_labels_are_no_text_is_left_out(folder):
    (folder / "labels" / "a.txt").write_bytes(b"0 0.5 0.5 \xff\n")
    coco, problems, _, _ = read_dataset(folder / "data.yaml")
    assert coco["images"] == [] and problems[0].kind == "label file unreadable"
    assert "a.txt: byte 10 (0xff, in line 1) is not UTF-8" in problems[0].where


def test_a_name_of_two_classes(folder):
    (folder / "data.yaml").write_text("train: images\nnames: [cat, dog, cat]\n")
    coco, problems, _, _ = read_dataset(folder / "data.yaml")
    assert [x["name"] for x in coco["categories"]] == ["cat", "dog"]
    (problem,) = problems
    text = f"name of two classes: {folder}/data.yaml: cat is class 0 and class 2; one class"
    assert str(problem) == f"warning: {text}"


def test_a_link_that_leads_nowhere_is_named(folder):
    (folder / "images" / "b.png").symlink_to("gone.png")
    _, problems, _, _ = read_dataset(folder / "data.yaml")
    assert [p.kind for p in problems] == ["image file missing"]


def test_paths_of_windows(folder):
    (folder / "list.txt").write_bytes(b".\\images\\a.png\r\nimages\\a.png\r\n")
    (folder / "data.yaml").write_text("train: list.txt\nval: .\\images\nnames: [cat]\n")
    for split, count in (("train", 2), ("val", 1)):
        coco, problems, _, _ = read_dataset(f"{folder / 'data.yaml'}:{split}")
        assert [x["file_name"] for x in coco["images"]] == ["images/a.png"] * count
        assert len(coco["annotations"]) == count and not problems


def test_the_path_of_another_machine(folder):
    (folder / "data.yaml").write_text("path: /content/set\ntrain: images\nnames: [cat]\n")
    read = read_dataset(folder / "data.yaml")
    assert read.images == folder and read.coco["images"][0]["file_name"] == "images/a.png"


def test_lists_of_cvat(folder):
    """Its "Ultralytics YOLO" names data/images/..., and has no folder data."""
    (folder / "train.txt").write_text("data/images/a.png\n")
    (folder / "data.yaml").write_text("path: .\ntrain: train.txt\nnames:\n  0: cat\n")
    coco, problems, _, _ = read_dataset(folder)
    assert len(coco["annotations"]) == 1 and not problems
    with pytest.raises(ValueError, match="list of the images of a YOLO dataset; give its file"):
        read_dataset(folder / "train.txt")


def test_darknet(folder):
    data = folder / "data"
    picture(data / "obj_valid_data" / "deep" / "a.png")
    (data / "obj_valid_data" / "deep" / "a.txt").write_text("1 0.5 0.5 0.25 0.5\n")
    (data / "valid.txt").write_text("data/obj_valid_data/deep/a.png\n")
    (data / "obj.names").write_text("no\nscrew 4,0\n")
    lines = "# a comment\nclasses=2\nvalid = data/valid.txt\nnames = data/obj.names\n"
    (data / "obj.data").write_text(lines)
    coco, problems, images, name = read_dataset(f"{data / 'obj.data'}:val")
    assert (name, images, problems) == ("yolo", data, [])
    assert [category["name"] for category in coco["categories"]] == ["no", "screw 4,0"]
    assert [(a["category_id"], a["bbox"]) for a in coco["annotations"]] == [(2, [15, 5, 10, 10])]
    (data / "obj.data").write_text("valid = data/valid.txt\n")
    with pytest.raises(ValueError, match="obj.data: no 'names', a file of the class names"):
        read_dataset(data / "obj.data")
