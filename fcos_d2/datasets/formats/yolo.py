"""YOLO txt: a data.yaml or obj.data, images in folders, and a file of boxes for each image."""

import os
from collections.abc import Mapping
from pathlib import Path

from fcos_deploy.files import files_below
from fcos_deploy.text import read_lines
from fcos_deploy.vision import image_extensions

from ..problems import Place, Problem
from .records import Coco, Record, corners_to_box, image_record, records_to_coco
from .yolo_description import Description, describe, find_part
from .yolo_labels import LARGEST_SHARE, PIXELS, judge_labels


def read_yolo(data_yaml: str | Path, split: str = "train") -> tuple[Coco, list[Problem], Path]:
    """One split of a YOLO dataset as COCO.

    A line of a label file is `class cx cy w h`, each but the class in [0, 1]. Of a line with more
    numbers, a polygon, the box is taken; where `kpt_shape` says that they are key points, these are
    passed over. An image without label file has no objects.

    Args:
        data_yaml: with train, val (test) and names, as Ultralytics and Roboflow write it; or
            darknet's obj.data, as CVAT writes it.
        split: "train", "val" or "test".

    Returns:
        The COCO dict, the problems, and the folder that the file names are relative to.

    Raises:
        ValueError: no such file, split or image, or no names.
    """
    data_yaml = Path(data_yaml)
    data = describe(data_yaml)
    entry = data.splits.get(split) or (data.splits.get("valid") if split == "val" else None)
    if not entry:
        there = ", ".join(data.splits) or "none"
        raise ValueError(f"{data_yaml}: no split {split!r}; it has {there}")
    files = [file for part in entry for file in _images_of(data, part)]
    if not files:
        raise ValueError(f"{data_yaml}: no image in {split!r} ({', '.join(entry)})")
    problems: list[Problem] = []
    records: list[Record] = []
    for file in files:
        if image := image_record(file, data.root, str(data_yaml), problems):
            boxes = _read_labels(_label_file(file, data), image, data, problems)
            if boxes is not None:
                records.append((image, boxes))
    label_files = [_label_file(file, data) for file in files]
    problems = judge_labels(label_files, problems, str(data_yaml))
    return records_to_coco(records, data.names, problems), problems, data.root


def yolo_images(data_yaml: str | Path) -> tuple[dict[str, list[Path]], list[str]]:
    """The images of every split that is there, and of those that are not, why.

    Raises:
        ValueError: the description cannot be read.
    """
    data = describe(Path(data_yaml))
    images: dict[str, list[Path]] = {}
    missing: list[str] = []
    for split, entry in data.splits.items():
        try:
            files = [file for part in entry for file in _images_of(data, part)]
        except ValueError as error:
            missing.append(str(error).removeprefix(f"{data.path}: "))
            continue
        if files:
            images["val" if split == "valid" else split] = files
        else:
            missing.append(f"no image in {split!r} ({', '.join(entry)})")
    return images, missing


# --- its images ---------------------------------------------------------------------------------


def _images_of(data: Description, part: str) -> list[Path]:
    """The images of a folder, or of a text file that lists them."""
    path = find_part(data, data.root, part)
    if path.is_file():
        return [find_part(data, path.parent, line, must=False) for _, line in read_lines(path)]
    return [p for p in files_below(path) if p.suffix.lower() in image_extensions()]


# --- and its labels -----------------------------------------------------------------------------


def _label_file(image: Path, data: Description) -> Path:
    """a/images/b.jpg -> a/labels/b.txt: the last folder called images counts."""
    if not data.labels_beside:
        image = with_other_folder(image, {"images": "labels"})
    return image.with_suffix(".txt")


def with_other_folder(image: Path, others: Mapping[str, str]) -> Path:
    """The same path, but the last folder that has another has that instead."""
    parts = list(image.parts)
    for i in range(len(parts) - 2, -1, -1):
        if other := others.get(parts[i]):
            parts[i] = other
            break
    return Path(*parts)


def _read_labels(
    path: Path, image: dict, data: Description, problems: list[Problem]
) -> list[dict] | None:
    """The boxes of an image; None where its file of labels cannot be read."""
    boxes: list[dict] = []
    if not os.path.isfile(path):
        return boxes
    try:
        lines = read_lines(path)
    except ValueError as error:
        kind, how = "label file unreadable", "the image is left out"
        place = Place(image=image["file_name"])
        problems.append(Problem("error", kind, str(error), how, place))
        return None
    for number, line in lines:
        place = Place(f"{path.name} line {number}", image["file_name"])
        class_id, values = _numbers(line, data.key_points)
        if class_id is None or not 0 <= class_id < len(data.names):
            kind = "line that is not a class and its box"
            points = f", {data.key_points[0]} key points" if data.key_points else ""
            text = f"{line!r} ({len(data.names)} classes{points})"
            problems.append(Problem("error", kind, text, "left out", place))
            continue
        place = place._replace(category=data.names[class_id])
        if max(values) > LARGEST_SHARE:
            problems.append(Problem("warning", PIXELS, repr(line), "left out", place))
            continue
        corners = _corners(values, image)
        if box := corners_to_box(corners, image, place, problems):
            boxes.append(box)
    return boxes


def _numbers(line: str, key_points: tuple[int, int] | None) -> tuple[int | None, list[float]]:
    """Class and numbers of the box or polygon of a line; no class where there is something else."""
    try:
        class_id, *values = (float(x) for x in line.split())
    except ValueError:
        return None, []
    if key_points is not None and len(values) == 4 + key_points[0] * key_points[1]:
        values = values[:4]
    elif key_points is not None and len(values) > 4:
        return None, []
    if len(values) < 4 or len(values) % 2 or not class_id.is_integer():
        return None, []
    return int(class_id), values


def _corners(values: list[float], image: dict) -> list[float]:
    """Of a box (cx, cy, w, h) or a polygon (x, y, x, y, ...), all in [0, 1], in px."""
    width, height = image["width"], image["height"]
    if len(values) > 4:
        xs, ys = values[0::2], values[1::2]
        return [min(xs) * width, min(ys) * height, max(xs) * width, max(ys) * height]
    cx, cy, w, h = values
    return [
        (cx - w / 2) * width,
        (cy - h / 2) * height,
        (cx + w / 2) * width,
        (cy + h / 2) * height,
    ]
