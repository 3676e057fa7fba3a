"""A folder is enough: how it is laid out, which splits it has, and where its images are."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..choices import check_choice
from .formats import FORMATS, nothing_known, read_dataset, recognise
from .formats.voc_folders import voc_lists, voc_years
from .layouts import LAYOUTS, Reading, SeveralMeant, Tree, listed
from .own_data import DataFiles
from .splitting import earlier_split

logger = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
NEAR = 2.0  # px between the sides of a box in two readings; VOC counts from 1
ALIKE = 0.98  # share of the boxes that two readings of the same data have in common
ALL_OF_IT = "no such set in it: all of it is taken"
CURE = "name the data with --train-data and --val-data, or one reading with --data-format"


class FoundData(NamedTuple):
    """A dataset that a folder holds."""

    train: DataFiles
    val: DataFiles | None
    test: DataFiles | None
    format: str  # of `read_dataset`
    layout: str  # for people, such as "Roboflow's COCO export"
    lines: list[str]  # what was found, for people


def find_data(folder: str | Path, *, format: str = "auto") -> FoundData:
    """The dataset in a folder.

    Args:
        folder: of a dataset, in one of the layouts that docs/data.md lists.
        format: one of FORMATS, where more than one reading is possible.

    Raises:
        ValueError: no dataset, or several that differ; names them and the cure.
    """
    check_choice("format", format, ("auto", *FORMATS))
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    tree = Tree(folder)
    readings, unread = _readings(tree, format)
    if not readings:
        raise unread[0] if unread else ValueError(_nothing(folder, tree, format))
    taken = max(readings, key=lambda reading: len(reading.splits))
    others = [reading for reading in readings if reading.layout != taken.layout]
    lines = [_describe(tree, taken), *tree.remarks(taken), *taken.lines]
    lines += [f"passed over: {error}" for error in unread]
    for other in others:
        difference = _difference(taken, other)
        if difference:
            raise ValueError(
                f"{folder} can be read in two ways that differ: as {taken.layout} and as "
                f"{other.layout} ({difference}); {CURE} {taken.format}|{other.format}"
            )
        way = f"; --data-format {other.format} reads it instead"
        lines.append(f"{other.layout} is there, too, with the same images and boxes{way}")
    found = {x: files._replace(format=taken.format) for x, files in taken.splits.items()}
    val, test = found.get("val"), found.get("test")
    return FoundData(found["train"], val, test, taken.format, taken.layout, lines)


def _readings(tree: Tree, format: str) -> tuple[list[Reading], list[ValueError]]:
    """All ways to read a folder, and what keeps others from being one."""
    readings, unread = [], []
    for name, find in LAYOUTS:
        try:
            reading = find(tree) if format in ("auto", name) else None
            readings += [_drop_repeated(reading)] if reading else []
        except SeveralMeant:
            raise
        except ValueError as error:
            unread.append(error)
    return readings, unread


def data_in(
    given: DataFiles,
    split: str,
    format: str = "auto",
    *,
    classes: str | None = None,
    beside: Iterable[str | Path] = (),
) -> tuple[DataFiles, list[str]]:
    """What `given` means as one set: a file as it is, of a folder its split.

    Args:
        given: a file, a folder, or FOLDER:split.
        split: that a folder stands for.
        format: one of FORMATS, or "auto".
        classes: file of class names, as in training.
        beside: folders where a training may have left the validation set that it split off.

    Returns:
        What `read_dataset` takes, and lines for people where it was looked for.

    Raises:
        ValueError: as `find_data`, or no such split.
    """
    data, images, _ = given
    head, colon, tail = data.rpartition(":")
    named = bool(colon) and not os.path.exists(data) and os.path.isdir(head)
    folder, wanted = (head, tail) if named else (data, split)
    if images is not None or not os.path.isdir(folder) or (named and wanted not in SPLITS):
        return given, []
    try:
        found = find_data(folder, format=format)
    except ValueError:
        if named and _has_list(Path(folder), wanted):
            return given, []
        raise
    files: DataFiles | None = getattr(found, wanted)
    if files is None and named and _has_list(Path(folder), wanted):
        return given, []
    if files is None and (named or found.test):
        others = " or ".join(f"{folder}:{x}" for x in SPLITS if getattr(found, x))
        raise ValueError(f"{folder}: no {wanted} set in it; take {others}")
    if files is not None:
        return files, found.lines
    # Whatever was learned from is no test.
    if earlier := earlier_split(found.train, *beside, classes=classes):
        return earlier, [f"the validation set that training made: {earlier.data}"]
    return found.train, [*found.lines, ALL_OF_IT]


def _has_list(folder: Path, split: str) -> bool:
    """Whether a VOC or YOLO folder is meant, by a list of its own."""
    try:
        format = recognise(folder)
    except ValueError:
        return False
    roots = voc_years(folder) or [folder] if format == "voc" else []
    return format == "yolo" or any(split in voc_lists(root) for root in roots)


def _drop_repeated(reading: Reading) -> Reading:
    """Without a split that has the images of another; one alone is what is learned, by any name.

    Raises:
        ValueError: several splits, but none to learn from.
    """
    splits, lines = dict(reading.splits), list(reading.lines)
    if "train" not in splits and len(splits) == 1:
        (name,) = splits
        lines.append(f"its only split is called {name}: it is used for training")
        splits = {"train": splits[name]}
        return reading._replace(splits=splits, images={"train": reading.images[name]}, lines=lines)
    if "train" not in splits:
        data = splits["val"].data
        names = " and ".join(split for split in SPLITS if split in splits)
        raise ValueError(f"{data}: {names} are there, but no training data; {CURE}")
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        if {first, second} <= set(splits) and reading.images[first] == reading.images[second]:
            lines.append(f"{second} has the same images as {first}: it is not used")
            del splits[second]
    images = {name: reading.images[name] for name in splits}
    return reading._replace(splits=splits, images=images, lines=lines)


def _describe(tree: Tree, reading: Reading) -> str:
    parts = [
        f"{split} {_shown(tree, reading.splits[split].data)} ({len(reading.images[split])} images)"
        for split in SPLITS
        if split in reading.splits
    ]
    return f"found {reading.layout}: {', '.join(parts)}"


def _shown(tree: Tree, data: str) -> str:
    """Where the data of a split are, from the folder."""
    root = str(tree.root)
    if data == root or data.startswith(f"{root}:"):  # all of it, or a split: by its own name
        return Path(os.path.abspath(root)).name + data.removeprefix(root)
    return os.path.relpath(data, root)


def _nothing(folder: Path, tree: Tree, format: str) -> str:
    """Why there is no dataset."""
    if not tree.files:
        return f"{folder}: the folder is empty"
    if tree.runs:
        return (
            f"{folder}: no data in it beside what a training wrote into {listed(tree, tree.runs)}; "
            "give a file of that with --train-data and --train-images"
        )
    for path in tree.with_suffix(".json", ".yaml", ".yml", ".xml"):
        if path.is_file() and not path.stat().st_size:
            return f"{folder}: no dataset in it; {tree.relative(path)} is empty"
    try:
        read_dataset(folder, format=format)
    except ValueError as error:
        return str(error)
    # A file that only looks like one of a known format, such as a stray xml.
    said = f"{folder}: no dataset of the format {format} in it"
    return nothing_known(folder) if format == "auto" else said


# --- two readings of one folder -----------------------------------------------------------------


def _difference(one: Reading, other: Reading) -> str | None:
    """What two readings differ in; None where they are of the same images and boxes."""
    # Only the last part of the paths is the same in both.
    a, b = ({k: {*map(os.path.basename, v)} for k, v in x.images.items()} for x in (one, other))
    all_a, all_b = (set[str]().union(*images.values()) for images in (a, b))
    if all_a != all_b:
        return f"{len(all_a)} and {len(all_b)} images, {len(all_a & all_b)} of them in both"
    for split in ("val", "test"):
        if split in a and split in b and a[split] != b[split]:
            return f"other images in {split}"
    alike = _share_alike(_boxes(one), _boxes(other))
    return None if alike >= ALIKE else f"{1 - alike:.0%} of the boxes are only in one of them"


Boxes = dict[tuple[str, str], list[list[float]]]  # by image and class


def _boxes(reading: Reading) -> Boxes:
    boxes: Boxes = {}
    for files in reading.splits.values():
        coco = files.read(format=reading.format).coco
        names = {x["id"]: Path(x["file_name"]).stem for x in coco["images"]}
        classes = {x["id"]: x["name"] for x in coco["categories"]}
        for annotation in coco["annotations"]:
            key = names[annotation["image_id"]], classes[annotation["category_id"]]
            x, y, width, height = annotation["bbox"]
            boxes.setdefault(key, []).append([x, y, x + width, y + height])
    return boxes


def _share_alike(one: Boxes, other: Boxes) -> float:
    """The share of the boxes, of both, that have a partner of their class in the other."""
    alike, total = 0, 0
    for key in {*one, *other}:
        a, b = (np.array(x.get(key, [])).reshape(-1, 4) for x in (one, other))
        near = np.abs(a[:, None] - b[None]).max(axis=2) <= NEAR  # (A, B)
        alike += int(near.any(axis=1).sum() + near.any(axis=0).sum())
        total += len(a) + len(b)
    return alike / total if total else 1.0
