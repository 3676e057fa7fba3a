"""Labels in an output folder, each format in a place of its own: added to what is there."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from fcos_deploy.text import read_json, read_text, read_yaml
from fcos_deploy.writing import write_text

from ..datasets.formats import cvat, label_studio
from ..datasets.formats.write import can_hold, check_names
from ..datasets.formats.write_folders import (
    VOC_LIST,
    YOLO_LIST,
    Coco,
    without_ending,
    write_voc,
    write_yolo,
    yolo_name,
)

COCO_FILE = "annotations.json"


class Written(NamedTuple):
    """What an earlier run, and people after it, have left of a format."""

    content: Any  # COCO dict, tasks of Label Studio, elements of CVAT, lines of a list
    names: set[str]  # of the images in it


def place_of(output: Path, format: str) -> Path:
    """The file (coco) or folder of a format."""
    return output / COCO_FILE if format == "coco" else output / format


def check_classes(class_names: list[str], formats: Iterable[str]) -> None:
    """Raises ValueError for a class name that one of the formats cannot hold."""
    for format in formats:
        if format != "coco":
            check_names(class_names, format)


def cannot_hold(name: str, formats: Iterable[str]) -> str | None:
    """Which of the formats cannot hold the name of an image; None: they all can."""
    return next((x for x in formats if x != "coco" and not can_hold(name)), None)


def check_shared_files(names: list[str], formats: Iterable[str]) -> None:
    """Raises ValueError for two images that YOLO or VOC would give one file of labels."""
    for format in ("yolo", "voc"):
        taken: dict[str, str] = {}
        for name in names if format in formats else ():
            other = taken.setdefault(without_ending(name), name)
            if other != name:
                raise ValueError(
                    f"{other} and {name}: {format} knows images by their names without ending, "
                    "and cannot tell these apart; rename one, or write another format"
                )


def read_written(output: Path, format: str, class_names: list[str], images: Path) -> Written:
    """What is there of a format; nothing where there is no such place.

    Raises:
        ValueError: it is something else, or was made of other images or with other classes; names
            it and the cure.
    """
    place = place_of(output, format)
    for link in (place / "images", place / "JPEGImages"):
        if link.is_symlink() and link.resolve() != images.resolve():
            raise ValueError(
                f"{place}: holds labels of the images in {link.resolve()}; name another --output"
            )
    if format == "coco":
        return _coco_there(place, class_names)
    if format == "label-studio":
        path = place / label_studio.TASKS
        tasks = label_studio.read_tasks(path) if path.exists() else []
        datas = [x["data"] for x in tasks if isinstance(x.get("data"), dict)]
        return Written(tasks, {str(x.get("file_name")) for x in datas})
    if format == "cvat":
        path = place / cvat.ANNOTATIONS
        elements = cvat.read_cvat_images(path) if path.exists() else []
        return Written(elements, {x.get("name", "") for x in elements})
    if format == "yolo":
        _check_same_classes(place / "data.yaml", class_names)
    listed = place / (YOLO_LIST if format == "yolo" else VOC_LIST)
    lines = [x for x in read_text(listed).split("\n") if x] if listed.exists() else []
    return Written(lines, set())


def has_labels(output: Path, format: str, there: Written, name: str) -> bool:
    """Whether an image has labels in an output folder."""
    place = place_of(output, format)
    if format == "yolo":
        return (place / "labels" / f"{without_ending(yolo_name(name))}.txt").exists()
    if format == "voc":
        return (place / "Annotations" / f"{without_ending(name)}.xml").exists()
    return name in there.names


def write_labels(
    coco: Coco,
    images: Path,
    output: Path,
    format: str,
    *,
    there: Written,
    image_url: str,
    model_version: str,
) -> Path:
    """Writes the labels of images that have none; what is there stays as it is.

    Args:
        coco: images, annotations with scores, and categories.
        images: folder that its file names are relative to.
        output: the output folder.
        format: one of `fcos label`.
        there: of `read_written`.
        image_url, model_version: see `write_label_studio`.

    Returns:
        The file to import or to read.
    """
    place = place_of(output, format)
    place.parent.mkdir(parents=True, exist_ok=True)
    if format == "coco":
        write_text(place, json.dumps(_added(there.content, coco)))
        return place
    if format == "label-studio":
        options = {"image_url": image_url, "model_version": model_version}
        return label_studio.write_label_studio(coco, place, **options, earlier=there.content)
    if format == "cvat":
        earlier: list[ET.Element] = there.content
        return cvat.write_cvat(coco, place, earlier=earlier)
    if format == "yolo":
        return write_yolo(coco, images, place, there.content)
    return write_voc(coco, images, place, there.content)


def _coco_there(path: Path, class_names: list[str]) -> Written:
    if not path.exists():
        return Written({}, set())
    coco = read_json(path)
    try:
        names = {x["file_name"] for x in coco["images"]}  # type: ignore[index]
        classes = [x["name"] for x in coco["categories"]]  # type: ignore[index]
        ids = [x["id"] for key in ("images", "annotations") for x in coco[key]]  # type: ignore[index]
    except (KeyError, TypeError):
        raise ValueError(f"{path}: not a COCO file; name another --output") from None
    if not all(isinstance(x, int) for x in ids):
        raise ValueError(f"{path}: has ids that are no numbers; name another --output")
    _compare(path, classes, class_names)
    return Written(coco, names)


def _added(there: Coco, new: Coco) -> Coco:
    """Both, with the ids of the new after those that are there."""
    if not there:
        return new
    first = {
        key: max((x["id"] for x in there[key]), default=0) for key in ("images", "annotations")
    }
    by_name = {x["name"]: x["id"] for x in there["categories"]}
    ids = {x["id"]: by_name[x["name"]] for x in new["categories"]}
    images = [{**x, "id": x["id"] + first["images"]} for x in new["images"]]
    annotations = [
        {
            **x,
            "id": x["id"] + first["annotations"],
            "image_id": x["image_id"] + first["images"],
            "category_id": ids[x["category_id"]],
        }
        for x in new["annotations"]
    ]
    return {
        **there,
        "images": [*there["images"], *images],
        "annotations": [*there["annotations"], *annotations],
    }


def _check_same_classes(path: Path, class_names: list[str]) -> None:
    """Of a data.yaml, whose label files hold indices of classes."""
    if not path.exists():
        return
    data = read_yaml(path)
    names = data.get("names") if isinstance(data, dict) else None
    _compare(path, [*names.values()] if isinstance(names, dict) else names, class_names)


def _compare(path: Path, there: object, class_names: list[str]) -> None:
    if there != class_names:
        raise ValueError(
            f"{path}: has other classes ({there}) than the detector ({class_names}): name another "
            "--output"
        )
