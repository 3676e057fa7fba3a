"""Formats of one text file: keras-retinanet's CSV, and a line of boxes for each image."""

import csv
from pathlib import Path

from ..problems import Problem
from .records import Coco, Record, corners_to_box, image_record, read_names, records_to_coco


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
    rows: dict[str, list[tuple[int, list[str]]]] = {}
    with _open(path) as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if row:
                rows.setdefault(row[0].strip(), []).append((number, [x.strip() for x in row[1:]]))
    names, problems = read_names(classes), []
    records: list[Record] = []
    for name, entries in rows.items():
        where = f"{Path(path).name} line {entries[0][0]}"
        if image := image_record(Path(images, name), Path(images), where, problems):
            boxes = (
                _box(row[:4], row[4], image, f"{Path(path).name} line {number}", problems)
                if len(row) == 5
                else _refuse(row, f"{Path(path).name} line {number}", problems)
                for number, row in entries
                if any(row)
            )
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
    names, problems = read_names(classes), []
    records: list[Record] = []
    with _open(path) as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{Path(path).name} line {number}"
        name, parts = _split_name(line)
        if image := image_record(Path(images, name), Path(images), where, problems):
            boxes = []
            for part in parts:
                *corners, class_id = part.split(",")
                known = class_id.isdigit() and int(class_id) < len(names)
                label = names[int(class_id)] if known else f"class id {class_id}"
                boxes.append(_box(corners, label, image, where, problems))
            records.append((image, [box for box in boxes if box]))
    return _finish(path, records, names, problems)


def _open(path: str | Path) -> object:
    try:
        return open(path, newline="", encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None


def _split_name(line: str) -> tuple[str, list[str]]:
    """File name, which may have spaces, and the words after it that hold commas."""
    words = line.split()
    first = next((i for i, x in enumerate(words) if i and x.count(",") >= 3), len(words))
    return " ".join(words[:first]), words[first:]


def _refuse(row: list[str], where: str, problems: list[Problem]) -> None:
    kind = "row that is not path,x1,y1,x2,y2,class"
    problems.append(Problem("error", kind, f"{where}: {row}", "left out"))


def _box(
    texts: list[str], name: str, image: dict, where: str, problems: list[Problem]
) -> dict | None:
    try:
        corners = [float(x) for x in texts]
    except ValueError:
        corners = []
    if len(corners) != 4:
        kind = "box that is not four numbers"
        problems.append(Problem("error", kind, f"{where}: {texts}", "left out"))
        return None
    return corners_to_box(corners, image, name, where, problems)


def _finish(
    path: str | Path, records: list[Record], names: list[str], problems: list[Problem]
) -> tuple[Coco, list[Problem]]:
    if not records:
        first = f"; {problems[0]}" if problems else ""
        raise ValueError(f"{path}: no usable image in it{first}")
    return records_to_coco(records, names, problems), problems
