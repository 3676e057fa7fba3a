"""The annotations of a COCO file: each of a known image and class, with a box in its image."""

import math
import reprlib
from typing import Any

from ..ids import LARGEST_ID, Id, find_id
from ..problems import Place, Problem
from .coco_conventions import settle_convention
from .coco_fields import is_finite, repair_fields


def repair_annotations(
    given: list[dict],
    images: dict[Id, dict],
    categories: dict[Id, dict],
    source: str,
    problems: list[Problem],
) -> list[dict]:
    """The annotations without what is wrong in them; they are changed in place.

    Args:
        given: JSON objects.
        images, categories: by the id of the file; the `id` in them is the one to write.
        source: what the messages call the file.
        problems: gets what is wrong.
    """
    linked = _link(given, images, categories, problems)
    image_of = {image["id"]: image for image in images.values()}
    names = {category["id"]: category["name"] for category in categories.values()}
    settle_convention(linked, image_of, source, problems)
    kept, seen = [], set()
    for annotation in linked:
        image = image_of[annotation["image_id"]]
        if not _repair_box(annotation, image, names, problems):
            continue
        # Hashes take a tenth of the memory of the tuples; a million of them hardly ever collide.
        key = hash((annotation["image_id"], annotation["category_id"], *annotation["bbox"]))
        if key in seen:
            place = _place(annotation, image, names)
            problems.append(Problem("warning", "annotation given twice", "", "left out", place))
            continue
        seen.add(key)
        kept.append(annotation)
    _settle_ids(kept, image_of, names, source, problems)
    return kept


def _link(
    given: list[dict],
    images: dict[Id, dict],
    categories: dict[Id, dict],
    problems: list[Problem],
) -> list[dict]:
    """Annotations of a known image and class, with their new ids, and with four finite numbers."""
    linked = []
    for annotation in given:
        image = _entry(annotation.get("image_id"), images)
        if image is None:
            kind = "annotation of an image that is not listed or was left out"
            text = f"annotation {annotation.get('id')!r} of image {annotation.get('image_id')!r}"
            problems.append(Problem("error", kind, text, "left out"))
            continue
        place = Place(image=image["file_name"], annotation=annotation.get("id"))
        category = _entry(annotation.get("category_id"), categories)
        if category is None:
            text = f"category_id {annotation.get('category_id')!r}"
            problems.append(Problem("error", "unknown category", text, "left out", place))
            continue
        box: Any = annotation.get("bbox")
        is_list = isinstance(box, (list, tuple))
        if not is_list or len(box) != 4 or not all(map(is_finite, box)):
            kind = "box that is not four finite numbers"
            place = place._replace(category=category["name"])
            problems.append(Problem("error", kind, reprlib.repr(box), "left out", place))
            continue
        annotation["image_id"], annotation["category_id"] = image["id"], category["id"]
        linked.append(annotation)
    return linked


def _entry(given: object, entries: dict[Id, dict]) -> dict | None:
    if type(given) is int and given in entries:  # nearly always
        return entries[given]
    found = find_id(given, entries)
    return None if found is None else entries[found]


def _place(annotation: dict, image: dict, names: dict[int, str]) -> Place:
    """Of an annotation that `_link` has returned."""
    return Place(
        image=image["file_name"],
        annotation=annotation.get("id"),
        category=names[annotation["category_id"]],
        box=tuple(annotation["bbox"]),
    )


def _settle_ids(
    annotations: list[dict],
    image_of: dict[int, dict],
    names: dict[int, str],
    source: str,
    problems: list[Problem],
) -> None:
    """Gives each annotation a number of its own in [1, 2**53]."""
    ids, without, renumbered, unusable = set(), [], [], []
    for annotation in annotations:
        given = annotation.get("id")
        number = int(given) if isinstance(given, float) and given.is_integer() else given
        if type(number) is int and 0 < number <= LARGEST_ID and number not in ids:
            annotation["id"] = number
            ids.add(number)
            continue
        if isinstance(given, str) or (type(number) is int and number > LARGEST_ID):
            renumbered.append(given)  # nothing wrong
        else:  # COCO's metric takes a ground truth with id 0 for an unmatched one
            unusable.append(annotation)
        without.append(annotation)
    # Some tools count from 0, which is no mistake.
    severity = "note" if [x.get("id") for x in unusable] == [0] else "warning"
    for annotation in unusable:
        kind = "annotation id that is 0, double or none"
        place = _place(annotation, image_of[annotation["image_id"]], names)
        problems.append(Problem(severity, kind, "", "renumbered", place))
    if renumbered:
        texts = any(isinstance(given, str) for given in renumbered)
        kind = "ids written as text" if texts else "ids below 0 or beyond 2**53"
        text = f"annotations: {len(renumbered)}, such as {reprlib.repr(renumbered[0])}"
        problems.append(Problem("note", kind, text, "numbered anew", Place(source)))
    for number, annotation in enumerate(without, start=max(ids, default=0) + 1):
        annotation["id"] = number


# --- boxes --------------------------------------------------------------------------------------


def _repair_box(
    annotation: dict, image: dict, names: dict[int, str], problems: list[Problem]
) -> bool:
    """Makes the box one inside its image; False for one that cannot be."""
    place = _place(annotation, image, names)
    x, y, width, height = annotation["bbox"]
    if width == 0 or height == 0:
        problems.append(Problem("warning", "box without area", "", "left out", place))
        return False
    if width < 0 or height < 0:
        kind = "box of negative width or height"
        problems.append(Problem("warning", kind, "", "turned around", place))
        x, y, width, height = min(x, x + width), min(y, y + height), abs(width), abs(height)
        annotation["bbox"] = [x, y, width, height]
    rotated = "attributes" in annotation and _enclose_rotated(annotation, place, problems)
    over = _clip(annotation, image)
    if over is None:
        problems.append(Problem("warning", "box outside the image", "", "left out", place))
        return False
    # Half a pixel over the border is how rounding looks, not a mistake.
    if over > 1 and not rotated:
        problems.append(Problem("warning", "box beyond the image", "", "clipped", place))
    repair_fields(annotation, image, place, problems)
    return True


def _clip(annotation: dict, image: dict) -> float | None:
    """Cuts the box at the borders of its image; returns how far it reached beyond them, px.

    None where nothing is left of it.
    """
    x, y, width, height = annotation["bbox"]
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, image["width"]), min(y + height, image["height"])
    if right <= left or bottom <= top:
        return None
    over = max(left - x, top - y, x + width - right, y + height - bottom)
    if over > 0:
        clipped = [left, top, right - left, bottom - top]
        annotation.update(bbox=clipped, area=clipped[2] * clipped[3])
    return over


def _enclose_rotated(annotation: dict, place: Place, problems: list[Problem]) -> bool:
    """The box around CVAT's one, which its `rotation` (degrees) turns around its centre."""
    attributes = annotation["attributes"]
    angle = attributes.get("rotation") if isinstance(attributes, dict) else None
    if not is_finite(angle) or angle % 180 == 0:
        return False
    x, y, width, height = annotation["bbox"]
    cosine, sine = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    across, down = width * cosine + height * sine, width * sine + height * cosine
    box = [x + (width - across) / 2, y + (height - down) / 2, across, down]
    text = f"{annotation['bbox']} by {angle:g} degrees"
    problems.append(Problem("note", "rotated box", text, "the box around it is taken", place))
    annotation.update(bbox=box, attributes={**attributes, "rotation": 0.0})
    return True
