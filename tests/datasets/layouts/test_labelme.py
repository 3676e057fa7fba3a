"""labelme's json files in folders that are called after splits."""

import json
from pathlib import Path

import pytest
from layouts import write_images

from fcos_d2.datasets.folder import data_in, find_data
from fcos_d2.datasets.formats import read_dataset
from fcos_d2.datasets.own_data import DataFiles

MIXED = "json files in folders called {} are mixed with others; put each set below a folder"


def write(root: Path, **names: str) -> None:
    """An image with its json in each folder; `__` in the name of one stands for /."""
    for folder, name in names.items():
        folder = root / folder.replace("__", "/")
        write_images(folder, [name])
        text = json.dumps({"shapes": [], "imagePath": f"{name}.png"})
        (folder / f"{name}.json").write_text(text)


def sets_of(root: Path) -> tuple[dict[str, list[str]], list[str]]:
    """The names in each set, and what is said besides."""
    found, sets = find_data(root), {}
    for split in ("train", "val", "test"):
        if (files := getattr(found, split)) is not None:
            read = read_dataset(files.data, images=files.images)
            assert read.problems == []
            sets[split] = sorted(Path(x["file_name"]).stem for x in read.coco["images"])
    return sets, found.lines[1:]


def test_folders_in_those_of_splits(tmp_path):
    write(tmp_path, train__cam0="a b", train__cam1="c", val__cam0="d", val__cam1="ä")
    assert sets_of(tmp_path) == ({"train": ["a b", "c"], "val": ["d", "ä"]}, [])


def test_folders_of_no_split_are_learned(tmp_path):
    write(tmp_path, cam0="a b", test="d")
    assert sets_of(tmp_path) == ({"train": ["a b"], "test": ["d"]}, [])
    with pytest.raises(ValueError, match="no val set in it; take .*:train or .*:test"):
        data_in(DataFiles(f"{tmp_path}:val"), "val")


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        ({"cam0__train": "a b", "cam1__train": "c", "cam0__val": "d"}, "train and val"),
        ({"train": "a b", "old": "c", "val": "d"}, "train and val"),
        ({"cam0": "a b", "cam1": "c", "cam1__val": "d"}, "val"),
    ],
)
def test_splits_that_cannot_be_told_apart_are_refused(tmp_path, folders, words):
    write(tmp_path, **folders)
    with pytest.raises(ValueError, match=MIXED.format(words)):
        find_data(tmp_path)
