"""Formats of one text file: keras-retinanet's CSV, and a line of boxes for each image."""

import re
from pathlib import Path

from fcos_deploy.files import find_file
from fcos_deploy.text import read_lines

from ..problems import Place, Problem
from .records import (
    Coco,
    Record,
    corners_to_box,
    image_record,
    read_csv_rows,
    read_names,
    records_to_coco,
)


def read_csv(
    path: str | Path, images: str | Path, classes: str | Path
) -> tuple[Coco, list[Problem]]:
    """keras-retinanet's CSV as COCO: `path,x1,y1,x2,y2,class`; `path,,,,,` has no objects.

    Args:
        path: the file.
        images: folder that the paths in it are relative to.
        classes: its class file, `name,id`.

    Raises:
        ValueError: a file is missing or empty.
    """
    rows: dict[Path, list[tuple[int, list[str]]]] = {}
    for number, row in read_csv_rows(path):
        rows.setdefault(find_file(images, row[0]), []).append((number, row[1:]))
    used = (row[4] for entries in rows.values() for _, row in entries if len(row) == 5)
    names = read_names(classes, used)
    problems: list[Problem] = []
    records: list[Record] = []
    for file, entries in rows.items():
        source = f"{Path(path).name} line"
        if image := image_record(file, Path(images), f"{source} {entries[0][0]}", problems):
            boxes = [
                _box_of_row(row, image, Place(f"{source} {number}", image["file_name"]), problems)
                for number, row in entries
                if any(row)
            ]
            records.append((image, [box for box in boxes if box]))
    return _finish(path, records, names, problems)


def read_txt(
    path: str | Path, images: str | Path, classes: str | Path
) -> tuple[Coco, list[Problem]]:
    """Lines `name.jpg x1,y1,x2,y2,id x1,y1,x2,y2,id ...` as COCO; ids count from 0.

    Args:
        path: the file.
        images: folder that the names in it are relative to.
        classes: a file with one class name a line.

    Raises:
        ValueError: a file is missing or empty.
    """
    names = read_names(classes)
    problems: list[Problem] = []
    records: list[Record] = []
    for number, line in read_lines(path):
        source = f"{Path(path).name} line {number}"
        name, parts = split_name(line)
        if image := image_record(find_file(images, name), Path(images), source, problems):
            boxes = []
            for part in parts:
                *corners, class_id = part.split(",")
                known = class_id.isdecimal() and int(class_id) < len(names)
                label = names[int(class_id)] if known else f"class id {class_id}"
                place = Place(source, image["file_name"], category=label)
                boxes.append(_box(corners, image, place, problems))
            records.append((image, [box for box in boxes if box]))
    return _finish(path, records, names, problems)


def holds_boxes(path: str | Path) -> bool:
    """Whether any line of a txt is more than the name of an image."""
    return any(split_name(line)[1] for _, line in read_lines(path))


def split_name(line: str) -> tuple[str, list[str]]:
    """File name, which may have spaces, and the words after it that hold commas."""
    name, *boxes = re.split(r"\s+(?=\S*,\S*,\S*,)", line)
    return name, [word for part in boxes for word in part.split()]


def _box_of_row(row: list[str], image: dict, place: Place, problems: list[Problem]) -> dict | None:
    if len(row) != 5:
        kind = "row that is not path,x1,y1,x2,y2,class"
        problems.append(Problem("error", kind, str(row), "left out", place))
        return None
    return _box(row[:4], image, place._replace(category=row[4]), problems)


def _box(texts: list[str], image: dict, place: Place, problems: list[Problem]) -> dict | None:
    try:
        corners = [float(x) for x in texts]
    except ValueError:
        corners = []
    if len(corners) != 4:
        kind = "box that is not four numbers"
        problems.append(Problem("error", kind, str(texts), "left out", place))
        return None
    return corners_to_box(corners, image, place, problems)


def _finish(
    path: str | Path, records: list[Record], names: list[str], problems: list[Problem]
) -> tuple[Coco, list[Problem]]:
    if not records:
        first = f"; {problems[0]}" if problems else ""
        raise ValueError(f"{path}: no usable image in it{first}")
    return records_to_coco(records, names, problems), problems
