"""Pascal VOC as people lay it out: splits, lists, folders in folders, and images elsewhere."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from layouts import BOXES, TRAIN, VAL, one_json, write_images, write_xml

from fcos_d2.datasets.folder import FoundData, data_in, find_data
from fcos_d2.datasets.formats import read_dataset
from fcos_d2.datasets.own_data import DataFiles


def sets_of(found: FoundData) -> dict[str, list[str]]:
    """The images that each set is read with, without a problem, all with their own boxes."""
    sets = {}
    for split in ("train", "val", "test"):
        files = getattr(found, split)
        if files is None:
            continue
        read = read_dataset(files.data, images=files.images)
        assert read.problems == [] and read.format == "voc"
        names = {x["id"]: Path(x["file_name"]).stem for x in read.coco["images"]}
        boxes = [[names[x["image_id"]], *x["bbox"]] for x in read.coco["annotations"]]
        true = [[n, a, b, c - a, d - b] for n in names.values() for _, a, b, c, d in BOXES[n]]
        assert sorted(boxes) == sorted(true)
        sets[split] = sorted(names.values())
    return sets


def devkit(root: Path, lists: dict[str, list[str]], images: Iterable[str] = BOXES) -> None:
    """Annotations and JPEGImages, with lists by their paths."""
    write_images(root / "JPEGImages", [*images])
    write_xml(root / "Annotations", [*images])
    for path, names in lists.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("".join(f"{x}\n" for x in names), encoding="utf-8")


def test_devkits_called_after_splits_are_no_years(tmp_path):
    for split, names in (("train", ["a b", "ä"]), ("valid", ["c"]), ("test", ["d"])):
        devkit(tmp_path / split, {}, names)
    assert sets_of(find_data(tmp_path)) == {"train": ["a b", "ä"], "val": ["c"], "test": ["d"]}


def test_years_of_a_split(tmp_path):
    for folder, name in (("train/2020", "c"), ("train/2021", "d"), ("val", "a b")):
        devkit(tmp_path / folder, {}, [name])
    assert sets_of(find_data(tmp_path)) == {"train": ["c", "d"], "val": ["a b"]}


def test_a_devkit_called_after_a_split_beside_another(tmp_path):
    devkit(tmp_path / "VOC2007", {}, ["c"])
    devkit(tmp_path / "test", {}, ["d"])
    with pytest.raises(ValueError, match="2 folders of VOC xml, VOC2007 and test; which one is"):
        find_data(tmp_path)
    for path, name in (("VOC2007/ImageSets/Main/trainval", "c"), ("test/ImageSets/test", "d")):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / f"{path}.txt").write_text(f"{name}\n")
    assert sets_of(find_data(tmp_path)) == {"train": ["c"], "test": ["d"]}


@pytest.mark.parametrize(
    "lists",
    [
        ("ImageSets/Main/Train.txt", "ImageSets/Main/Validation.txt"),  # CVAT, as people type it
        ("ImageSets/train.txt", "ImageSets/val.txt"),
        ("ImageSets/Layout/train.txt", "ImageSets/Layout/val.txt"),
        ("train.txt", "val.txt"),
    ],
)
def test_where_lists_lie(tmp_path, lists):
    devkit(tmp_path, dict(zip(lists, (TRAIN, VAL), strict=True)))
    assert sets_of(find_data(tmp_path)) == {"train": sorted(TRAIN), "val": VAL}


def test_lists_of_paths(tmp_path):
    lines = [[f"JPEGImages/{x}.png" for x in names] for names in (["c"], ["d"])]
    devkit(tmp_path, dict(zip(("train.txt", "val.txt"), lines, strict=True)))
    found = find_data(tmp_path)
    assert sets_of(found) == {"train": ["c"], "val": ["d"]}
    assert found.lines[1:] == ["annotated images in none of the lists train and val, not read: 2"]


def test_main_wins_over_other_lists(tmp_path):
    devkit(tmp_path, {"ImageSets/Main/train.txt": ["c", "d", "c"], "train.txt": ["a b"]})
    assert sets_of(find_data(tmp_path)) == {"train": ["c", "d"]}


def test_lists_elsewhere_are_named(tmp_path):
    devkit(tmp_path / "a", {"splits/train.txt": ["c"]})
    assert find_data(tmp_path / "a").lines[1].startswith("splits/train.txt: not read; lists of")
    write_images(tmp_path / "b" / "images", [*BOXES])
    write_xml(tmp_path / "b" / "annotations", [*BOXES])
    (tmp_path / "b" / "Val.txt").write_text("d\n")
    assert find_data(tmp_path / "b").lines[1].startswith("Val.txt: not read; lists of")


@pytest.mark.parametrize("images", ["JPEGImages", "JPEGImages/{}", "pictures/{}"])
def test_folders_in_annotations_called_after_splits(tmp_path, images):
    for split, names in (("train", TRAIN), ("val", VAL)):
        write_xml(tmp_path / "Annotations" / split, names)
        write_images(tmp_path / images.format(split), names)
    assert sets_of(find_data(tmp_path)) == {"train": sorted(TRAIN), "val": VAL}


@pytest.mark.parametrize(
    ("xml", "images"),
    [("{}", "{}"), ("annotations/{}", "images/{}"), ("annotations/{}", "images")],
)
def test_a_folder_for_each_class(tmp_path, xml, images):
    for label, names in (("cat", ["a b", "d"]), ("dog", ["c"])):
        write_xml(tmp_path / xml.format(label), names)
        write_images(tmp_path / images.format(label), names)
    assert sets_of(find_data(tmp_path)) == {"train": ["a b", "c", "d"]}


def test_folders_in_those_of_splits(tmp_path):
    for folder, names in (("train/cam0", ["c"]), ("train/cam1", ["d"]), ("val/cam0", ["ä"])):
        write_xml(tmp_path / folder, names)
        write_images(tmp_path / folder, names)
    assert sets_of(find_data(tmp_path)) == {"train": ["c", "d"], "val": ["ä"]}
    with pytest.raises(ValueError, match="no test set in it; take .*:train or .*:val"):
        data_in(DataFiles(f"{tmp_path}:test"), "val")


def test_equal_names_in_two_folders(tmp_path):
    """They are two images where each folder has one; else one of the files may be a copy."""
    for folder in ("cam0", "cam1"):
        write_xml(tmp_path / "xml" / folder, ["c"])
        write_images(tmp_path / "images" / folder, ["c"])
    assert sets_of(find_data(tmp_path)) == {"train": ["c", "c"]}
    write_xml(tmp_path / "xml" / "backup", ["c"])
    with pytest.raises(ValueError, match="3 folders of VOC xml, xml/backup, xml/cam0 and"):
        find_data(tmp_path)


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        ([".", "more"], "train .* not read as one, . and more; put these into a folder train"),
        (["a/train", "b/train", "a/val"], "as one, a/train and b/train; put these into"),
        (["train", "old"], "2 folders of VOC xml, old and train; which one is the training data"),
    ],
)
def test_folders_that_are_not_read_as_one(tmp_path, folders, said):
    for folder, name in zip(folders, BOXES, strict=False):
        write_xml(tmp_path / folder, [name])
        write_images(tmp_path / folder, [name])
    with pytest.raises(ValueError, match=said):
        find_data(tmp_path)


def test_images_that_the_xml_is_not_called_after(tmp_path):
    write_images(tmp_path / "images", ["c", "d"])
    write_xml(tmp_path / "xml", ["c", "d"])
    (tmp_path / "xml" / "c.xml").rename(tmp_path / "xml" / "c.png.xml")
    (tmp_path / "xml" / "d.xml").rename(tmp_path / "xml" / "note 7.xml")
    assert sets_of(find_data(tmp_path)) == {"train": ["c", "d"]}


def test_a_folder_in_annotations_that_the_images_lack(tmp_path):
    write_images(tmp_path / "images", [*BOXES])
    write_xml(tmp_path / "Annotations" / "xmls", [*BOXES])
    assert sets_of(find_data(tmp_path)) == {"train": sorted(BOXES)}


def test_masks_are_not_taken_for_images(tmp_path):
    write_images(tmp_path / "images", ["c"])
    (tmp_path / "annotations" / "masks").mkdir(parents=True)
    (tmp_path / "annotations" / "masks" / "c.gif").write_bytes(b"GIF89a")
    write_xml(tmp_path / "annotations" / "xmls", ["c"])
    assert find_data(tmp_path).train.images == str(tmp_path / "images")


def test_xml_outside_of_annotations_is_named(tmp_path):
    devkit(tmp_path, {})
    write_xml(tmp_path / "backup", ["c"])
    line = "1 xml files outside of Annotations, such as backup/c.xml: not read"
    assert find_data(tmp_path).lines[1:] == [line]


LABELME = "<annotation><filename>c.png</filename><imagesize><nrows>32</nrows></imagesize>"


@pytest.mark.parametrize(
    ("path", "xml", "said"),
    [
        ("annotations.xml", "<annotations></annotations>", "annotations.xml: .*'CVAT for images 1"),
        ("default/c.xml", f"{LABELME}</annotation>", "c.xml: this is CVAT's format 'LabelMe 3.0'"),
    ],
)
def test_formats_of_cvat_that_are_not_read(tmp_path, path, xml, said):
    write_images(tmp_path / "default", ["c"])
    (tmp_path / path).write_text(xml)
    with pytest.raises(ValueError, match=f"{said}.*; export the task as 'COCO 1.0', 'PASCAL VOC"):
        find_data(tmp_path)


def test_lists_that_are_not_used(tmp_path):
    main = "ImageSets/Main"
    lists = {
        f"{main}/train.txt": ["c"],
        f"{main}/trainval.txt": ["c", "d"],
        f"{main}/test.txt": ["ä"],
    }
    devkit(tmp_path, lists, ["c", "d", "ä"])
    found = find_data(tmp_path)
    assert sets_of(found) == {"train": ["c"], "test": ["ä"]}
    assert "annotated images in none of the lists test and train, not read: 1" in found.lines


@pytest.mark.parametrize("content", ["", "<project/>"])
def test_a_stray_xml_is_no_dataset(tmp_path, content):
    one_json(tmp_path)
    (tmp_path / "stray.xml").write_text(content, encoding="utf-16")
    assert find_data(tmp_path).layout == "COCO json"


def test_xml_in_utf16(tmp_path):
    devkit(tmp_path, {}, ["c"])
    path = tmp_path / "Annotations" / "c.xml"
    path.write_text(path.read_text(), encoding="utf-16")
    assert sets_of(find_data(tmp_path)) == {"train": ["c"]}
