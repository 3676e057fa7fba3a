"""The steps that readers of formats other than COCO share."""

import csv
import io
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from fcos_deploy.files import backslash_hint
from fcos_deploy.text import read_lines, read_text
from fcos_deploy.vision import ImageError, image_size

from ..problems import Place, Problem
from .coco_conventions import settle_convention

Coco = dict[str, list[dict]]
# An image with file_name, height and width, and its boxes with name and bbox.
Record = tuple[dict, list[dict]]


def records_to_coco(records: list[Record], names: list[str], problems: list[Problem]) -> Coco:
    """COCO dicts with ids from 1; boxes of classes that are not in `names` are left out.

    Args:
        records: as `Record`; the dicts in them are changed in place.
        names: of the classes, in the order of their ids.
        problems: gets what is left out.
    """
    category_ids = {name: i for i, name in enumerate(names, start=1)}
    annotations: list[dict] = []
    for image_id, (image, boxes) in enumerate(records, start=1):
        image["id"] = image_id
        for box in boxes:
            name = box.pop("name")
            if name not in category_ids:
                text = f"(classes are {', '.join(names)})"
                place = Place(image=image["file_name"], category=name, box=tuple(box["bbox"]))
                problems.append(Problem("error", "unknown category", text, "left out", place))
                continue
            ids = {"id": len(annotations) + 1, "image_id": image_id, "iscrowd": 0}
            annotations.append({**ids, "category_id": category_ids[name], **box})
    categories = [{"id": i, "name": name} for name, i in category_ids.items()]
    return {"images": [x for x, _ in records], "annotations": annotations, "categories": categories}


def image_record(file: Path, folder: Path, source: str, problems: list[Problem]) -> dict | None:
    """file_name below `folder`, height and width of an image; None for one that cannot be used.

    Args:
        file, folder: of the image.
        source: annotation file that names it, with the line.
        problems: gets why it cannot be used.
    """
    place = Place(source, image_name(file, folder))
    if not os.path.isfile(file):  # unlike Path.is_file it answers for names that are too long
        text = f"{file}{backslash_hint(file)}"
        problems.append(Problem("error", "image file missing", text, "left out", place))
        return None
    try:
        height, width = image_size(file)
    except ImageError as error:
        problems.append(Problem("error", "image unreadable", str(error), "left out", place))
        return None
    return {"file_name": place.image, "height": height, "width": width}


def image_name(file: Path, folder: Path) -> str:
    """What a dataset with the images in `folder` calls a file: its path below it, or all of it."""
    inside = file.is_relative_to(folder)
    return (file.relative_to(folder) if inside else Path(os.path.realpath(file))).as_posix()


def add_boxes(
    given: list[dict], records: list[Record], source: str, problems: list[Problem]
) -> None:
    """Gives the records their boxes, once all of them have told what their numbers mean.

    Args:
        given: with `image_id`, which is the number of the record; `bbox`, [x, y, width, height];
            `place`, with its category; and `area`, where the file states it.
        records: changed in place.
        source: what the messages call the file.
        problems: gets what is wrong.
    """
    images = {number: image for number, (image, _) in enumerate(records)}
    settle_convention(given, images, source, problems)
    for entry in given:
        image, boxes = records[entry["image_id"]]
        x, y, width, height = entry["bbox"]
        corners = [x, y, x + width, y + height]
        if box := corners_to_box(corners, image, entry["place"], problems):
            boxes.append(box)


def corners_to_box(
    corners: list[float], image: dict, place: Place, problems: list[Problem]
) -> dict | None:
    """An annotation without ids from corners in px counted from 0; None without a usable box.

    Args:
        corners: x1, y1, x2, y2.
        image: its record.
        place: of the box; with its category.
        problems: gets what is wrong.
    """
    place = place.with_corners(corners)
    x1, y1, x2, y2 = turn_corners(corners, place, problems)
    if not x2 > x1 or not y2 > y1:  # also where one is not a number
        problems.append(box_problem("box without area", corners, "left out", place))
        return None
    left, top = max(x1, 0), max(y1, 0)
    right, bottom = min(x2, image["width"]), min(y2, image["height"])
    if right <= left or bottom <= top:
        problems.append(box_problem("box outside the image", corners, "left out", place))
        return None
    if max(left - x1, top - y1, x2 - right, y2 - bottom) > 1:
        problems.append(box_problem("box beyond the image", corners, "clipped", place))
    box = [left, top, right - left, bottom - top]
    return {"name": place.category, "bbox": box, "area": box[2] * box[3]}


def box_problem(kind: str, corners: list[float], repair: str, place: Place) -> Problem:
    """A warning that says the corners as they are given."""
    return Problem("warning", kind, f"{[round(x, 2) for x in corners]}", repair, place)


def turn_corners(corners: list[float], place: Place, problems: list[Problem]) -> list[float]:
    """Corners with the smaller numbers first; of a box that was drawn from another corner, too."""
    x1, y1, x2, y2 = corners
    if x2 < x1 or y2 < y1:
        problems.append(box_problem("box with swapped corners", corners, "turned", place))
        return [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]
    return corners


def enclosing_corners(
    cx: float, cy: float, width: float, height: float, angle: float
) -> list[float]:
    """Corners of the upright box around one that is turned by `angle`, in radians."""
    cosine, sine = abs(math.cos(angle)), abs(math.sin(angle))
    half_width = (width * cosine + height * sine) / 2
    half_height = (width * sine + height * cosine) / 2
    return [cx - half_width, cy - half_height, cx + half_width, cy + half_height]


def read_names(path: str | Path, used: Iterable[str] = ()) -> list[str]:
    """The class names of a file: one a line, or `name,id` as CSV; in the order of the ids.

    `screw 4,0` may be either. A file is `name,id` where each line is, with the ids 0, 1, 2, ...,
    and the names that it then has are those that the data use; where these do not tell, where it
    is called .csv. A .csv may have a header, `class,id`.

    Args:
        path: of the file.
        used: names that the data use.

    Raises:
        ValueError: no such file, no name in it, or ids that are not 0, 1, 2, ...
    """
    path, used = Path(path), set(used)
    if not path.is_file():
        raise ValueError(f"{path}: no such file of class names")
    is_csv = path.suffix.lower() == ".csv"
    lines = [line for _, line in read_lines(path)]
    rows = read_csv_rows(path)
    if is_csv and not _are_pairs(rows[:1]) and _are_pairs(rows[1:]):  # below a header
        rows, lines = rows[1:], lines[1:]
    if is_csv and all(len(row) == 1 for _, row in rows):
        lines = [row[0] for _, row in rows]
    if _are_pairs(rows):
        ids = [int(number) for _, (_, number) in rows]
        pairs = {int(number): name for _, (name, number) in rows}
        by_data = len(used & set(pairs.values())) - len(used & set(lines))
        if by_data > 0 or (by_data == 0 and is_csv):
            if sorted(ids) != list(range(len(ids))):
                raise ValueError(
                    f"{path}: class ids must be 0, 1, 2, ... once each, got {sorted(ids)}"
                )
            lines = [pairs[i] for i in range(len(pairs))]
    if not lines or "" in lines or len(set(lines)) != len(lines):
        raise ValueError(f"{path}: class names must be there and differ from each other")
    return lines


def _are_pairs(rows: list[tuple[int, list[str]]]) -> bool:
    """Whether there are rows, each of a name and an id."""
    return bool(rows) and all(len(row) == 2 and row[1].isdecimal() for _, row in rows)


def read_csv_rows(path: str | Path) -> list[tuple[int, list[str]]]:
    """As `iterate_csv_rows`, all at once."""
    return [*iterate_csv_rows(path)]


def iterate_csv_rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file that hold something, without space around values, with their lines.

    Raises:
        ValueError: the file cannot be read; names it.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    first = 1  # line of the file in which the row begins; a value in quotes may hold line ends
    try:
        for row in reader:
            values = [value.strip() for value in row]
            if len(values) > 1 or any(values):
                yield first, values
            first = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}: not valid CSV in line {reader.line_num} ({error})") from None
