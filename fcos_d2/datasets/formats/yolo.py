"""YOLO txt: a data.yaml or obj.data, images in folders, and a file of boxes for each image."""

import os
from pathlib import Path

from fcos_deploy.text import read_lines

from ..problems import Place, Problem
from ..split_words import SPLIT_WORDS
from .records import Coco, Record, corners_to_box, image_record, records_to_coco
from .yolo_description import Description
from .yolo_images import describe_any, found_elsewhere, items_of
from .yolo_labels import LARGEST_SHARE, PIXELS, judge_key_points, judge_labels


def read_yolo(data_yaml: str | Path, split: str = "train") -> tuple[Coco, list[Problem], Path]:
    """One split of a YOLO dataset as COCO.

    A line of a label file is `class cx cy w h`, each but the class in [0, 1]. Of a line with more
    numbers, a polygon, the box is taken; where `kpt_shape` says that they are key points, these are
    passed over. An image without label file has no objects.

    Args:
        data_yaml: with train, val (test) and names, as Ultralytics and Roboflow write it;
            darknet's obj.data, as CVAT writes it; or a folder of labels with a list of classes.
        split: "train", "val" or "test".

    Returns:
        The COCO dict, the problems, and the folder that the file names are relative to.

    Raises:
        ValueError: no such file, split or image, or no names.
    """
    data = describe_any(Path(data_yaml))
    source = str(data.path)
    entry = data.splits.get(SPLIT_WORDS.get(split.lower(), split))
    if not entry:
        raise ValueError(f"{source}: no split {split!r}; it has {', '.join(data.splits)}")
    passed_over: list[str] = []
    items = items_of(data, entry, passed_over)
    if not items:
        raise ValueError(f"{source}: no image in {split!r} ({', '.join([*entry, *passed_over])})")
    problems = _judge_names(data)
    items = found_elsewhere(items, data, problems)
    records: list[Record] = []
    for file, labels in items:
        if image := image_record(file, data.root, source, problems):
            boxes = _read_labels(labels, image, data, problems)
            if boxes is not None:
                records.append((image, boxes))
    if data.key_points is None:
        problems += judge_key_points([labels for _, labels in items], source)
    problems = judge_labels(items, problems, source)
    return records_to_coco(records, data.names, problems), problems, data.root


def _judge_names(data: Description) -> list[Problem]:
    """A warning for each class whose name another one has."""
    problems = []
    for i, name in enumerate(data.names):
        if (first := data.names.index(name)) < i:
            place = Place(str(data.path), category=name)
            text = f"is class {first} and class {i}"
            problems.append(Problem("warning", "name of two classes", text, "one class", place))
    return problems


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
