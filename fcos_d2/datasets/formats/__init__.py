"""Datasets in any of the usual formats, as COCO dicts and a list of what was wrong in them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ...choices import check_choice
from ..problems import Problem
from .coco import read_coco, repair_coco
from .image_folder import read_image_folder
from .labelme import read_labelme
from .lines import holds_boxes, read_csv, read_txt
from .open_images import read_open_images
from .recognition import (
    class_file,
    described_in,
    file_of_table,
    file_of_yolo,
    nothing_known,
    recognise,
)
from .voc import read_voc
from .voc_folders import voc_images
from .write import WRITTEN, write_dataset
from .yolo import read_yolo

__all__ = [
    "FORMATS",
    "WRITTEN",
    "ReadDataset",
    "nothing_known",
    "read_dataset",
    "recognise",
    "repair_coco",
    "write_dataset",
]

Path_ = str | Path
# The COCO dict, the problems, and the folder that the file names are relative to.
Read = tuple[dict[str, list[dict]], list[Problem], Path_]


class ReadDataset(NamedTuple):
    """A dataset of any format."""

    coco: dict[str, list[dict]]  # images, annotations and categories, repaired
    problems: list[Problem]
    images: Path  # the folder that the file names are relative to
    format: str


class Source(NamedTuple):
    """What is given of a dataset."""

    path: Path
    split: str | None  # after the colon
    images: Path_ | None
    classes: Path_ | None
    decode: bool
    usual_split: str


def read_dataset(
    path: str | Path,
    *,
    images: str | Path | None = None,
    classes: str | Path | None = None,
    format: str = "auto",
    decode: bool = True,
    usual_split: str = "train",
) -> ReadDataset:
    """Reads a dataset.

    Args:
        path: COCO json; VOC folder, or one of xml files; YOLO's data.yaml, darknet's obj.data, or
            the folder of either; CSV of boxes or of Open Images; a folder of labelme's json files;
            metadata.jsonl or .parquet of an ImageFolder, or its folder; or a txt of lines.
            ":split" at its end names a list of VOC, a split of YOLO, or a folder in an ImageFolder.
        images: folder of the images, where it is not the usual one of the format.
        classes: file of the class names, for CSV and txt.
        format: one of FORMATS, or "auto" to recognise it.
        usual_split: of a YOLO file where none is named.
        decode: take the sizes from the image files; False works only for COCO, which states them.

    Raises:
        ValueError: no such dataset, or one that is not for detection; names it and the cure.
    """
    check_choice("format", format, ("auto", *READERS))
    path, split = _split_off(str(path))
    if not os.path.exists(path):  # unlike Path.exists it answers for names that are too long
        raise ValueError(f"{path}: no such file or folder")
    format = recognise(path) if format == "auto" else format
    source = Source(path, split, images, classes, decode, usual_split)
    coco, problems, root = READERS[format](source)
    return ReadDataset(coco, problems, Path(root), format)


def _split_off(path: str) -> tuple[Path, str | None]:
    head, colon, tail = path.rpartition(":")
    is_split = colon and tail and not os.path.exists(path) and "/" not in tail and "\\" not in tail
    return (Path(head), tail) if is_split else (Path(path), None)


# --- one function for each format ---------------------------------------------------------------


def _coco(given: Source) -> Read:
    images = given.images or given.path.parent
    return *read_coco(given.path, images if given.decode else None), images


def _voc(given: Source) -> Read:
    images = given.images or voc_images(given.path)
    return *read_voc(given.path, given.split, images, given.classes), images


def _yolo(given: Source) -> Read:
    return read_yolo(described_in(given.path) or given.path, given.split or given.usual_split)


def _csv(given: Source) -> Read:
    images = given.images or given.path.parent
    classes = given.classes or class_file(given.path)
    return *read_csv(given.path, images, classes), images


def _txt(given: Source) -> Read:
    path, images = given.path, given.images or given.path.parent
    yolo = file_of_yolo(path.parent)
    if yolo and not holds_boxes(path):
        whole = f"folder, {yolo}" if yolo.is_dir() else f"file, {yolo}"
        raise ValueError(f"{path}: a list of the images of a YOLO dataset; give its {whole}")
    if given.classes is None:
        raise ValueError(f"{path}: txt needs a file of class names: use --classes")
    return *read_txt(path, images, given.classes), images


def _labelme(given: Source) -> Read:
    return *read_labelme(given.path, given.images, given.classes), given.images or given.path


def _open_images(given: Source) -> Read:
    images = given.images or given.path.parent
    return *read_open_images(given.path, images, given.classes), images


def _image_folder(given: Source) -> Read:
    path = file_of_table(given.path)
    images = given.images or path.parent
    return *read_image_folder(path, images, given.split), images


# A new format is a line here, and one in `recognise`.
READERS: dict[str, Callable[[Source], Read]] = {
    "coco": _coco,
    "voc": _voc,
    "yolo": _yolo,
    "csv": _csv,
    "txt": _txt,
    "labelme": _labelme,
    "openimages": _open_images,
    "imagefolder": _image_folder,
}
FORMATS = tuple(READERS)
