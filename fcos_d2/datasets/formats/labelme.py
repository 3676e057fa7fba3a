"""labelme: one json for each image, with rectangles and polygons."""

import math
import os
from pathlib import Path
from typing import Any

from fcos_deploy.files import files_below, find_file, last_part
from fcos_deploy.text import read_json
from fcos_deploy.vision import image_extensions

from ..problems import Place, Problem
from .coco_fields import is_finite
from .content import holds
from .records import Coco, Record, corners_to_box, image_record, read_names, records_to_coco

_MARKS = (b'"shapes"', b'"imagePath"')
_WITHOUT_AREA = ("point", "line", "linestrip", "points")
Shape = tuple[str, list[float], Place]  # label, corners, place


def labelme_files(folder: Path) -> list[Path]:
    """The json files of labelme below a folder."""
    jsons = (path for path in files_below(folder) if path.suffix.lower() == ".json")
    return [path for path in jsons if is_labelme(path)]


def is_labelme(path: Path) -> bool:
    """Whether a json file holds what labelme writes."""
    return holds(path, _MARKS)


def read_labelme(
    folder: str | Path, images: str | Path | None = None, classes: str | Path | None = None
) -> tuple[Coco, list[Problem]]:
    """Boxes of rectangles, and around polygons, circles and masks; of a group, around all of it.

    Args:
        folder: of the json files, at any depth.
        images: folder of the images; None: where `imagePath` says, or beside the json files.
        classes: file of their names, in the order of the ids; None takes those that occur, by name.

    Raises:
        ValueError: no json file of labelme.
    """
    folder = Path(folder)
    files = labelme_files(folder)
    if not files:
        raise ValueError(f"{folder}: no json file of labelme in it")
    problems: list[Problem] = []
    records: list[Record] = []
    for path in files:
        try:
            data: Any = read_json(path)
        except ValueError as error:
            problems.append(Problem("error", "annotation file unreadable", str(error), "left out"))
            continue
        file = _image_of(path, data, Path(images) if images else None)
        if not os.path.isfile(file) and isinstance(data, dict) and data.get("imageData"):
            kind = "image only inside its json file, as imageData"
            cure = f"save it as {file.name} beside it; labelme_export_json writes it out"
            problems.append(Problem("error", kind, cure, "left out", Place(str(path))))
            continue
        image = image_record(file, Path(images or folder), str(path), problems)
        if image is not None:
            records.append((image, _boxes(data, image, path, problems)))
    used = {box["name"] for _, boxes in records for box in boxes}
    names = read_names(classes, used) if classes else sorted(used)
    return records_to_coco(records, names, problems), problems


def _image_of(path: Path, data: Any, images: Path | None) -> Path:
    """Where `imagePath` says; else the image of the json's own name."""
    stated = data.get("imagePath") if isinstance(data, dict) else None
    stated = stated if isinstance(stated, str) else ""
    folder = images or path.parent
    places = [find_file(folder, stated), folder / last_part(stated)] if stated else []
    places += [folder / f"{path.stem}{ending}" for ending in sorted(image_extensions())]
    return next((place for place in places if os.path.isfile(place)), places[0])


def _boxes(data: Any, image: dict, path: Path, problems: list[Problem]) -> list[dict]:
    shapes = data.get("shapes") if isinstance(data, dict) else None
    single: list[Shape] = []
    groups: dict[tuple[str, object], Shape] = {}
    for number, shape in enumerate(shapes if isinstance(shapes, list) else []):
        place = Place(f"{path.name} shape {number}", image["file_name"])
        read = _read_shape(shape, place, problems)
        if read is None:
            continue
        group = shape.get("group_id")
        if not isinstance(group, (int, str)):
            single.append(read)
            continue
        label, corners, place = groups.setdefault((read[0], group), read)
        both = zip(corners, read[1], strict=True)
        around = [f(pair) for f, pair in zip((min, min, max, max), both, strict=True)]
        groups[label, group] = label, around, place
    boxes = (corners_to_box(c, image, p, problems) for _, c, p in (*single, *groups.values()))
    return [box for box in boxes if box]


def _read_shape(shape: Any, place: Place, problems: list[Problem]) -> Shape | None:
    label = shape.get("label") if isinstance(shape, dict) else None
    points = shape.get("points") if isinstance(shape, dict) else None
    flat = [x for p in points if isinstance(p, list) for x in p] if isinstance(points, list) else []
    if (
        not isinstance(label, str)
        or len(flat) < 2
        or len(flat) % 2
        or not all(map(is_finite, flat))
    ):
        kind = "shape without label or with points that are not numbers"
        problems.append(Problem("error", kind, str(shape)[:80], "left out", place))
        return None
    place = place._replace(category=label)
    type_ = shape.get("shape_type", "polygon")
    if type_ in _WITHOUT_AREA:
        problems.append(Problem("note", "shape without area", str(type_), "left out", place))
        return None
    xs, ys = flat[0::2], flat[1::2]
    if type_ == "circle" and len(xs) == 2:  # its centre and a point on it
        radius = math.hypot(xs[1] - xs[0], ys[1] - ys[0])
        xs, ys = [xs[0] - radius, xs[0] + radius], [ys[0] - radius, ys[0] + radius]
    return label, [min(xs), min(ys), max(xs), max(ys)], place
