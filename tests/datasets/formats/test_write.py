"""What is written comes back, whatever the names are."""

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from fcos_d2.datasets.formats import WRITTEN, read_dataset, write_dataset

FILES = [
    "plain.png",
    "two words.png",
    "sub dir/two  words 1.png",
    "sub dir/deep/images/x.png",
    'a "quoted" name.png',
    "猫,1.png",
    "back\\slash.png",
]
FOLDERS = ("voc", "yolo")  # the others write a file
CLASSES = ["no", "screw 4,0", 'a "nut", big', "~", "010", "<b>&amp;", "猫"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _, content = cv2.imencode(".png", np.zeros((20, 40, 3), np.uint8))
        (folder / name).write_bytes(content.tobytes())
    return folder


def dataset(files: list[str], classes: list[str]) -> dict:
    """A box of another class on each image."""
    size = {"height": 20, "width": 40}
    return {
        "images": [{"id": i, "file_name": name, **size} for i, name in enumerate(files, 1)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": i, "bbox": [i, 2, 10, 5], "area": 50}
            for i in range(1, len(files) + 1)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(classes, 1)],
    }


def content(coco: dict) -> list[tuple]:
    """(file, class, box) of every annotation."""
    files = {image["id"]: image["file_name"] for image in coco["images"]}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    rounded = ([round(x, 3) for x in a["bbox"]] for a in coco["annotations"])
    pairs = [(files[a["image_id"]], names[a["category_id"]]) for a in coco["annotations"]]
    return sorted((*pair, box) for pair, box in zip(pairs, rounded, strict=True))


@pytest.mark.parametrize("format", WRITTEN)
def test_odd_names_come_back(images, tmp_path, format):
    coco = dataset(FILES, CLASSES)
    names = {"coco": "a.json", "csv": "a.csv", "txt": "a.txt"}
    written = write_dataset(coco, images, tmp_path / "out" / names.get(format, ""), format)
    classes = {"csv": written.parent / "classes.csv", "txt": written.parent / "classes.txt"}
    given = None if format in ("voc", "yolo") else images
    read = read_dataset(written, images=given, classes=classes.get(format))
    assert read.problems == []
    found = content(read.coco)
    if format == "yolo":  # its readers look for labels beside the last folder called images
        found = [
            (name.removeprefix("images/").replace("images_", "images"), *x) for name, *x in found
        ]
    assert sorted(found) == content(coco)
    for image in read.coco["images"]:
        assert (read.images / image["file_name"]).is_file()


def test_the_list_of_voc(images, tmp_path):
    written = write_dataset(dataset(FILES, CLASSES), images, tmp_path / "voc", "voc")
    assert content(read_dataset(f"{written}:all").coco) == content(dataset(FILES, CLASSES))
    assert '"two words"\n' in (written / "ImageSets" / "Main" / "all.txt").read_text("utf-8")


@pytest.mark.parametrize("format", ["voc", "yolo"])
@pytest.mark.parametrize("name", ["../evil.png", "/tmp/evil.png", "link/evil.png"])
def test_files_outside_of_the_output_are_refused(images, tmp_path, format, name):
    output = tmp_path / "out"
    for folder in ("Annotations", "labels"):
        (output / folder).mkdir(parents=True)
        (output / folder / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="evil.* leads out of the output folder"):
        write_dataset(dataset([name], ["cat"]), images, output, format)
    assert not list(tmp_path.glob("evil*"))


@pytest.mark.parametrize("format", ["voc", "yolo"])
def test_images_that_would_share_a_file_are_refused(images, tmp_path, format):
    shutil.copy(images / "plain.png", images / "plain.jpg")
    coco = dataset(["plain.png", "plain.jpg"], ["cat", "dog"])
    with pytest.raises(ValueError, match="plain.jpg and plain.png would share plain"):
        write_dataset(coco, images, tmp_path / "out", format)


@pytest.mark.parametrize("format", ["voc", "yolo", "csv", "txt"])
@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "a\udcffb", " a", ""])
def test_names_that_a_format_cannot_hold_are_refused(images, tmp_path, format, name):
    coco = dataset(["plain.png"], [name])
    with pytest.raises(ValueError, match=f"{format} cannot hold this name") as info:
        write_dataset(coco, images, tmp_path / "out.x", format)
    assert "\n" not in str(info.value) and "\x1b" not in str(info.value)


def test_a_name_that_looks_like_a_box_in_txt(images, tmp_path):
    coco = dataset(["a 1,2,3,4.png"], ["cat"])
    with pytest.raises(ValueError, match="txt cannot hold this name; it looks like a box"):
        write_dataset(coco, images, tmp_path / "a.txt", "txt")


def test_nothing_is_written_into_the_folder_of_the_images(images, tmp_path):
    """A first conversion has left a link to it, where a second makes folders."""
    write_dataset(dataset(["plain.png"], ["cat"]), images, tmp_path / "out", "yolo")
    before = sorted(images.rglob("*"))
    coco = dataset(["sub dir/deep/images/x.png"], ["cat"])
    with pytest.raises(ValueError, match="leads out of the output folder"):
        write_dataset(coco, images, tmp_path / "out", "yolo")
    assert sorted(images.rglob("*")) == before


@pytest.mark.parametrize("format", WRITTEN)
def test_problems_name_image_class_and_box_in_every_format(images, tmp_path, format):
    """Whatever the file name looks like in a sentence."""
    name = "sub dir/two  words 1.png"
    coco = dataset(["plain.png", name], ["cat", "1 of 2: dog"])
    coco["annotations"][1]["bbox"] = [30, 2, 20, 5]
    written = write_dataset(coco, images, tmp_path / f"a.{format}", format)
    classes = {"csv": tmp_path / "classes.csv", "txt": tmp_path / "classes.txt"}.get(format)
    given = images if format in ("coco", "csv", "txt") else None
    read = read_dataset(written, images=given, format=format, classes=classes)
    (problem,) = read.problems
    assert problem.kind == "box beyond the image" and problem.repair == "clipped"
    assert problem.place.image in {image["file_name"] for image in read.coco["images"]}
    assert problem.place.image.endswith(name) and problem.place.category == "1 of 2: dog"
    assert problem.place.box == pytest.approx((30, 2, 20, 5), abs=1e-3)
    assert name in problem.where or format in FOLDERS


class Killed(BaseException):
    """Stands in for a kill."""


def kill_at(patch: pytest.MonkeyPatch, number: int) -> None:
    """Ends the program at one of the steps that change the disk, counted from 0."""
    steps = itertools.count()

    def killing(function):
        def step(*args, **kwargs):
            if next(steps) == number:
                raise Killed
            return function(*args, **kwargs)

        return step

    places = (os, "replace"), (os, "symlink"), (Path, "write_text"), (Path, "write_bytes")
    for owner, name in (*places, (ElementTree.ElementTree, "write")):
        patch.setattr(owner, name, killing(getattr(owner, name)))


@pytest.mark.parametrize("format", WRITTEN)
def test_a_kill_at_any_step_leaves_nothing_or_all(images, tmp_path, format, monkeypatch):
    classes = {"csv": "classes.csv", "txt": "classes.txt"}.get(format)
    coco, killed = dataset(FILES[:3], CLASSES[:3]), 0
    for number in itertools.count():
        output = tmp_path / str(number) / f"a.{format}"
        try:
            with monkeypatch.context() as patch:
                kill_at(patch, number)
                write_dataset(coco, images, output, format)
            break
        except Killed:
            killed += 1
            assert {path.name for path in output.parent.iterdir()} <= {classes}
    assert killed == {"coco": 2, "csv": 4, "txt": 4, "voc": 6, "yolo": 7}[format]


@pytest.mark.parametrize("format", ["voc", "yolo"])
def test_a_folder_that_is_there_keeps_its_other_files(images, tmp_path, format, monkeypatch):
    first, second = dataset(FILES[:2], CLASSES[:2]), dataset(FILES[2:3], CLASSES[:1])
    written = write_dataset(first, images, tmp_path / "out", format)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(patch, 2)  # while the new files are made
        write_dataset(second, images, tmp_path / "out", format)
    boxes = [x[1:] for x in content(read_dataset(written).coco)]
    assert boxes == [x[1:] for x in content(first)]
    write_dataset(second, images, tmp_path / "out", format)
    split = {"voc": ":all", "yolo": ""}[format]
    boxes = [x[1:] for x in content(read_dataset(f"{written}{split}").coco)]
    assert boxes == [x[1:] for x in content(second)]
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_what_a_killed_run_has_left_goes(images, tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for name in (f"out.{ended.pid}.tmp", f"other.{ended.pid}.tmp"):
        (tmp_path / name / "labels").mkdir(parents=True)
    write_dataset(dataset(FILES[:1], CLASSES[:1]), images, tmp_path / "out", "yolo")
    assert sorted(x.name for x in tmp_path.iterdir()) == [f"other.{ended.pid}.tmp", "out", "photos"]


@pytest.mark.parametrize("format", WRITTEN)
def test_crowds_are_left_out_where_they_would_become_objects(images, tmp_path, format, caplog):
    coco = dataset(FILES[:3], CLASSES[:3])
    for annotation in coco["annotations"][:2]:
        annotation["iscrowd"] = 1
    output = tmp_path / f"a.{format}"
    written = write_dataset(coco, images, output, format)
    classes = {"csv": tmp_path / "classes.csv", "txt": tmp_path / "classes.txt"}.get(format)
    given = images if format in ("coco", "csv", "txt") else None
    read = read_dataset(written, images=given, format=format, classes=classes)
    crowds = [annotation["iscrowd"] for annotation in read.coco["annotations"]]
    assert crowds == ([1, 1, 0] if format == "coco" else [0]) and len(read.coco["images"]) == 3
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (format != "coco") and all(x.startswith("2 crowd regions") for x in said)
    assert len(coco["annotations"]) == 3, "the dict that was given stays as it is"
