"""Datasets in any of the usual formats, as COCO dicts and a list of what was wrong in them."""

import os
from pathlib import Path
from typing import NamedTuple

from fcos_deploy.files import files_below, is_hidden
from fcos_deploy.vision import image_extensions

from ...choices import check_choice
from ..problems import Problem
from .coco import read_coco, repair_coco
from .lines import holds_boxes, read_csv, read_txt
from .voc import is_xml, read_voc, voc_images, voc_years
from .write import write_dataset
from .yolo import read_yolo
from .yolo_description import CLASSES, has_labels_of

__all__ = ["FORMATS", "ReadDataset", "read_dataset", "recognise", "repair_coco", "write_dataset"]

FORMATS = ("coco", "voc", "yolo", "csv", "txt")


class ReadDataset(NamedTuple):
    """A dataset of any format."""

    coco: dict[str, list[dict]]  # images, annotations and categories, repaired
    problems: list[Problem]
    images: Path  # the folder that the file names are relative to
    format: str


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
            the folder of either; keras-retinanet's CSV; or a txt of lines. ":split" at its end
            names a list of VOC or a split of YOLO.
        images: folder of the images, where it is not the usual one of the format.
        classes: file of the class names, for CSV and txt.
        format: one of FORMATS, or "auto" to recognise it.
        usual_split: of a YOLO file where none is named.
        decode: take the sizes from the image files; False works only for COCO, which states them.

    Raises:
        ValueError: no such dataset, or one that is not for detection; names it and the cure.
    """
    check_choice("format", format, ("auto", *FORMATS))
    path, split = _split_off(str(path))
    if not os.path.exists(path):  # unlike Path.exists it answers for names that are too long
        raise ValueError(f"{path}: no such file or folder")
    format = recognise(path) if format == "auto" else format
    path = _file_of_yolo(path) if format == "yolo" else path
    if format == "coco":
        images = images or path.parent
        return ReadDataset(*read_coco(path, images if decode else None), Path(images), format)
    if format == "yolo":
        coco, problems, root = read_yolo(path, split or usual_split)
        return ReadDataset(coco, problems, root, format)
    if format == "voc":
        images = images or voc_images(path)
        return ReadDataset(*read_voc(path, split, images, classes), Path(images), format)
    yolo = _file_of_yolo(path.parent)
    if format == "txt" and yolo != path.parent and not holds_boxes(path):
        raise ValueError(f"{path}: a list of the images of a YOLO dataset; give its file, {yolo}")
    if classes is None:
        raise ValueError(f"{path}: {format} needs a file of class names: use --classes")
    images = images or path.parent
    read = {"csv": read_csv, "txt": read_txt}[format](path, images, classes)
    return ReadDataset(*read, Path(images), format)


def _split_off(path: str) -> tuple[Path, str | None]:
    head, colon, tail = path.rpartition(":")
    is_split = colon and tail and not os.path.exists(path) and "/" not in tail and "\\" not in tail
    return (Path(head), tail) if is_split else (Path(path), None)


def recognise(path: Path) -> str:
    """The format of a file or folder. Raises ValueError for none that is known."""
    if path.is_dir():
        return _recognise_folder(path)
    suffix = path.suffix.lower()
    known = {".json": "coco", ".yaml": "yolo", ".yml": "yolo", ".csv": "csv", ".txt": "txt"}
    known |= {".data": "yolo"}  # darknet's
    if suffix not in known:
        raise ValueError(f"{path}: no known format; name it with --data-format {'|'.join(FORMATS)}")
    return known[suffix]


def _recognise_folder(path: Path) -> str:
    inside = sorted(p for p in path.iterdir() if not is_hidden(p.name))
    if (path / "Annotations").is_dir() or any(map(is_xml, inside)) or voc_years(path):
        return "voc"
    if _file_of_yolo(path) != path:
        return "yolo"
    subfolders = [p for p in inside if p.is_dir()]
    holding = [p for p in subfolders if any(map(_is_image, p.iterdir()))]
    if len(holding) > 1 and len(holding) == len(subfolders):
        raise ValueError(
            f"{path} is a folder of images per class, which is a format for classification, not "
            "detection: it has no boxes"
        )
    jsons = [p for p in files_below(path) if p.suffix.lower() == ".json"]
    hint = f"; did you mean {jsons[0]}?" if jsons else ""
    raise ValueError(f"{path}: no annotations of a known format in it{hint}")


def _file_of_yolo(path: Path) -> Path:
    """The file that describes the YOLO dataset in a folder; the path as it is without one."""
    names = ("data.yaml", "dataset.yaml", "obj.data")
    described = next((path / name for name in names if (path / name).is_file()), None)
    if described is None and has_labels_of(path / CLASSES):
        return path / CLASSES
    return described or path


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in image_extensions() and not is_hidden(path.name)
