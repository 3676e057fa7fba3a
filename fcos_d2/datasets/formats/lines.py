"""Formats of one text file: a CSV of boxes, and a line of boxes for each image."""

import csv
import os
import re
from collections import Counter
from pathlib import Path

from fcos_deploy.files import find_file, last_part
from fcos_deploy.text import read_lines

from ..problems import Place, Problem
from .coco_fields import is_finite
from .records import (
    Coco,
    Record,
    add_boxes,
    image_record,
    read_csv_rows,
    read_names,
    records_to_coco,
)

# Of a CSV with a header, in small letters; those of keras-retinanet in its order.
_COLUMNS = (
    ("filename", "file_name", "image", "image_name", "image_path", "path"),
    ("xmin", "x_min", "x1"),
    ("ymin", "y_min", "y1"),
    ("xmax", "x_max", "x2"),
    ("ymax", "y_max", "y2"),
    ("class", "class_name", "label", "name"),
)
_SCORE = "score"


def read_csv(
    path: str | Path, images: str | Path, classes: str | Path | None
) -> tuple[Coco, list[Problem]]:
    """A CSV of boxes as COCO; a row without a box is an image without objects.

    Args:
        path: the file; as keras-retinanet writes it, `path,x1,y1,x2,y2,class`, or with a header.
        images: folder that the paths in it are relative to.
        classes: its class file, `name,id`; None takes the classes that occur, by name.

    Raises:
        ValueError: a file is missing or empty.
    """
    given = csv_rows(path)
    problems: list[Problem] = []
    files = _image_files(images, [row[0] for _, row in given], problems)
    rows: dict[Path, list[tuple[int, list[str]]]] = {}
    for number, row in given:
        rows.setdefault(files[row[0]], []).append((number, row[1:]))
    used = {row[4] for entries in rows.values() for _, row in entries if len(row) == 5 and row[4]}
    names = read_names(classes, used) if classes else sorted(used)
    records: list[Record] = []
    boxes: list[dict | None] = []
    for file, entries in rows.items():
        source = f"{Path(path).name} line"
        if image := image_record(file, Path(images), f"{source} {entries[0][0]}", problems):
            for number, row in entries:
                place = Place(f"{source} {number}", image["file_name"])
                boxes += [_box_of_row(row, len(records), place, problems)] if any(row) else []
            records.append((image, []))
    return _finish(path, records, boxes, names, problems)


def csv_rows(path: str | Path) -> list[tuple[int, list[str]]]:
    """The rows of a CSV of boxes with their lines: path, x1, y1, x2, y2, class.

    Raises:
        ValueError: the file cannot be read; names it.
    """
    rows = read_csv_rows(path)
    places = _places(rows[0][1]) if rows else None
    if places is None:
        return rows
    return [(n, [row[i] if i < len(row) else "" for i in places]) for n, row in rows[1:]]


def is_csv_of_boxes(path: Path) -> bool:
    """Whether the first row is one of keras-retinanet, or a header that names such columns.

    Those of a detector's results have a score, too, and are no data to learn from.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            first = next(csv.reader([file.readline(2000)]), [])
    except (OSError, csv.Error):
        return False
    is_row = len(first) == 6 and all(re.fullmatch(r"\s*-?[\d.]*\s*", x) for x in first[1:5])
    return is_row or (
        _places(first) is not None and _SCORE not in [x.strip().lower() for x in first]
    )


def _places(head: list[str]) -> list[int] | None:
    """Where a header has the columns; None for a row that is none."""
    words = [word.strip().lower() for word in head]
    found = [next((words.index(x) for x in names if x in words), None) for names in _COLUMNS]
    places = [place for place in found if place is not None]
    return places if len(places) == len(_COLUMNS) else None


def _image_files(images: str | Path, names: list[str], problems: list[Problem]) -> dict[str, Path]:
    """The file of each name; the folders in front of it may be those of another machine."""
    counts = Counter(map(last_part, {*names}))
    files = {}
    for name in dict.fromkeys(names):
        alone, file = last_part(name), find_file(images, name)
        if not os.path.exists(file) and counts[alone] == 1 and os.path.isfile(Path(images, alone)):
            file = Path(images, alone)
            place = Place(image=name)
            problems.append(Problem("note", "folder of another machine", str(file), place=place))
        files[name] = file
    return files


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
    boxes: list[dict | None] = []
    lines = [(number, *split_name(line)) for number, line in read_lines(path)]
    files = _image_files(images, [name for _, name, _ in lines], problems)
    for number, name, parts in lines:
        source = f"{Path(path).name} line {number}"
        if image := image_record(files[name], Path(images), source, problems):
            for part in parts:
                *corners, class_id = part.split(",")
                known = class_id.isdecimal() and int(class_id) < len(names)
                label = names[int(class_id)] if known else f"class id {class_id}"
                place = Place(source, image["file_name"], category=label)
                boxes.append(_box(corners, len(records), place, problems))
            records.append((image, []))
    return _finish(path, records, boxes, names, problems)


def holds_boxes(path: str | Path) -> bool:
    """Whether any line of a txt is more than the name of an image."""
    return any(split_name(line)[1] for _, line in read_lines(path))


def split_name(line: str) -> tuple[str, list[str]]:
    """File name, which may have spaces, and the words after it that hold commas."""
    name, *boxes = re.split(r"\s+(?=\S*,\S*,\S*,)", line)
    return name, [word for part in boxes for word in part.split()]


def _box_of_row(row: list[str], image: int, place: Place, problems: list[Problem]) -> dict | None:
    if len(row) != 5:
        kind = "row that is not path,x1,y1,x2,y2,class"
        problems.append(Problem("error", kind, str(row), "left out", place))
        return None
    return _box(row[:4], image, place._replace(category=row[4]), problems)


def _box(texts: list[str], image: int, place: Place, problems: list[Problem]) -> dict | None:
    """As `add_boxes` takes it; None for what is wrong."""
    try:
        corners = [float(x) for x in texts]
    except ValueError:
        corners = []
    if len(corners) != 4 or not all(map(is_finite, corners)):
        kind = "box that is not four numbers"
        problems.append(Problem("error", kind, str(texts), "left out", place))
        return None
    x1, y1, x2, y2 = corners
    return {"image_id": image, "bbox": [x1, y1, x2 - x1, y2 - y1], "place": place}


def _finish(
    path: str | Path,
    records: list[Record],
    boxes: list[dict | None],
    names: list[str],
    problems: list[Problem],
) -> tuple[Coco, list[Problem]]:
    if not records:
        first = f"; {problems[0]}" if problems else ""
        raise ValueError(f"{path}: no usable image in it{first}")
    add_boxes([box for box in boxes if box], records, str(path), problems)
    return records_to_coco(records, names, problems), problems
