"""Folders of YOLO as tools and people leave them: what is found, and what is said of the rest."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from layouts import BOXES, CLASSES, TRAIN, VAL, write_images, write_labels, write_xml

from fcos_d2.datasets.folder import find_data
from fcos_d2.datasets.formats import read_dataset
from fcos_d2.datasets.own_data import DataFiles

Write = Callable[[Path], None]
LISTED = "".join(f"{name}\n" for name in CLASSES)


def write_set(images: Path, labels: Path, names: list[str]) -> None:
    write_images(images, names)
    write_labels(labels, names)


def boxes_of(files: DataFiles) -> dict[str, int]:
    """How many boxes each image has, where nothing is wrong with the set."""
    coco, problems, _, _ = read_dataset(files.data, images=files.images)
    assert problems == []
    stems = {x["id"]: Path(x["file_name"]).stem for x in coco["images"]}
    of = [stems[a["image_id"]] for a in coco["annotations"]]
    return {stem: of.count(stem) for stem in stems.values()}


def counts(names: list[str]) -> dict[str, int]:
    return {name: len(BOXES[name]) for name in names}


def labelimg_flat(folder: Path) -> None:
    write_set(folder, folder, [*BOXES])
    (folder / "classes.txt").write_text(LISTED)
    write_images(folder / "drawn", ["c"])  # with the boxes on it, without labels


def labelimg_in_labels(folder: Path) -> None:
    write_set(folder / "images", folder / "labels", [*BOXES])
    (folder / "labels" / "classes.txt").write_text(LISTED)


def wrapped(folder: Path) -> None:
    labelimg_in_labels(folder / "animals")


def roboflow_darknet(folder: Path) -> None:
    for split, names in (("train", TRAIN), ("valid", VAL)):
        write_set(folder / split, folder / split, names)
        (folder / split / "_darknet.labels").write_text(LISTED)


def list_above_splits(folder: Path) -> None:
    for split, names in (("train", TRAIN), ("val", VAL)):
        write_set(folder / split / "images", folder / split / "labels", names)
    (folder / "classes.txt").write_text(LISTED)


def splits_in_other_words(folder: Path) -> None:
    for split, names in (("Train", TRAIN), ("Validation", VAL)):
        write_set(folder / "images" / split, folder / "labels" / split, names)
    (folder / "classes.txt").write_text(LISTED)


def keys_of_fiftyone(folder: Path) -> None:
    splits_in_other_words(folder)
    text = f"names: {CLASSES}\nTrain: ./images/Train/\nvalidation: ./images/Validation/\n"
    (folder / "dataset.yaml").write_text(text)


def cvat_subsets(folder: Path) -> None:
    for split, names in (("Train", TRAIN), ("Validation", VAL)):
        write_set(folder / f"obj_{split}_data", folder / f"obj_{split}_data", names)
        lines = "".join(f"data/obj_{split}_data/{name}.png\n" for name in names)
        (folder / f"{split}.txt").write_text(lines, encoding="utf-8")
    (folder / "obj.names").write_text(LISTED)
    lists = "Train = data/Train.txt\nValidation = data/Validation.txt\n"
    (folder / "obj.data").write_text(f"classes = 2\n{lists}names = data/obj.names\n")


def labels_of_voc(folder: Path) -> None:
    write_images(folder / "images", [*BOXES])
    write_xml(folder / "labels", [*BOXES])
    (folder / "classes.txt").write_text(LISTED)


@pytest.mark.parametrize(
    ("write", "train", "val"),
    [
        (labelimg_flat, [*BOXES], None),
        (labelimg_in_labels, [*BOXES], None),
        (wrapped, [*BOXES], None),
        (roboflow_darknet, TRAIN, VAL),
        (list_above_splits, TRAIN, VAL),
        (splits_in_other_words, TRAIN, VAL),
        (keys_of_fiftyone, TRAIN, VAL),
        (cvat_subsets, TRAIN, VAL),
        (labels_of_voc, [*BOXES], None),
    ],
)
def test_forms_of_yolo(tmp_path, write, train, val):
    write(tmp_path)
    found = find_data(tmp_path)
    assert boxes_of(found.train) == counts(train)
    assert (None if found.val is None else boxes_of(found.val)) == (val and counts(val))


def test_pictures_in_folders_without_labels_are_said(tmp_path):
    labelimg_flat(tmp_path)
    (line,) = find_data(tmp_path).lines[1:]
    assert line.startswith(
        f"{tmp_path.name}: 1 images, such as {tmp_path / 'drawn' / 'c.png'}, with labels"
    )
    assert line.endswith("; passed over")


def without_names(folder: Path) -> None:
    write_set(folder / "animals" / "images", folder / "animals" / "labels", ["c"])


def without_images(folder: Path) -> None:
    write_labels(folder / "animals" / "labels", ["c"])
    (folder / "animals" / "classes.txt").write_text(LISTED)


def without_images_of_a_list(folder: Path) -> None:
    cvat_subsets(folder)
    for path in folder.rglob("*.png"):
        path.unlink()


def keys_of_no_split(folder: Path) -> None:
    write_images(folder / "images", ["c"])
    (folder / "data.yaml").write_text("names: [cat]\nFoo: images\n")


def captions(folder: Path) -> None:
    write_images(folder, ["c"])
    (folder / "c.txt").write_text("1 cat and 2 dogs on 3 chairs\n")
    (folder / "classes.txt").write_text(LISTED)


@pytest.mark.parametrize(
    ("write", "line"),
    [
        (
            without_names,
            "animals/labels: holds YOLO labels, .* classes.txt into .*/animals, a name",
        ),
        (without_images, "images are not where they belong: put them into .*/animals/images, the"),
        (without_images_of_a_list, "3 images of 'train' are not there, such as .*/obj_Train_data/"),
        (keys_of_no_split, "no images after train, val or test in it; it has the keys names, Foo"),
        (captions, "no annotations of a known format"),
    ],
)
def test_what_cannot_be_read_is_said_with_a_cure(tmp_path, write, line):
    write(tmp_path)
    with pytest.raises(ValueError, match=line) as info:
        find_data(tmp_path)
    assert "\n" not in str(info.value)


def test_two_folders_of_labels_are_two_datasets(tmp_path):
    for name in ("cats", "dogs"):
        labelimg_in_labels(tmp_path / name)
    with pytest.raises(ValueError, match="2 YOLO datasets, cats and dogs; which"):
        find_data(tmp_path)


def test_images_of_an_export_may_lie_beside_it(tmp_path):
    cvat_subsets(tmp_path)
    (tmp_path / "my photos").mkdir()
    for path in tmp_path.rglob("*.png"):
        shutil.move(path, tmp_path / "my photos" / path.name)
    found = find_data(tmp_path)
    coco, problems, _, _ = read_dataset(found.train.data)
    assert [x["file_name"] for x in coco["images"]] == [f"my photos/{x}.png" for x in TRAIN]
    assert len(coco["annotations"]) == sum(counts(TRAIN).values())
    assert {(p.severity, p.kind) for p in problems} == {
        ("note", "image in another folder than listed")
    }
