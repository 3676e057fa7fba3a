"""COCO json: what is wrong in it, and the same without that."""

import os
import reprlib
import sys
from collections import Counter
from pathlib import Path

from fcos_deploy.files import backslash_hint, find_file
from fcos_deploy.image import ImageError, image_size
from fcos_deploy.text import read_json

from ..problems import Problem

Coco = dict[str, list[dict]]


def read_coco(json_file: str | Path, images: str | Path | None) -> tuple[Coco, list[Problem]]:
    """A COCO detection file, repaired.

    Args:
        json_file: annotations.
        images: folder that the file names are relative to; None looks at no image.

    Returns:
        The file's images, annotations and categories without what is wrong in them, and the
        problems. Problems of severity "error" are those that nobody should train over.

    Raises:
        ValueError: nothing can be made of the file; names it.
    """
    data = read_json(json_file)
    for key in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise ValueError(f"{json_file}: no list {key!r}; is this a COCO detection file?")
        if key != "annotations" and not data[key]:
            raise ValueError(f"{json_file}: {key!r} is empty; training needs at least one")
    if images is not None and not Path(images).is_dir():
        raise ValueError(f"{images}: no such folder of images (for {json_file})")
    return repair_coco(data, str(json_file), images)


def repair_coco(
    data: Coco, source: str, images: str | Path | None = None
) -> tuple[Coco, list[Problem]]:
    """`data` without what is wrong in it; see `read_coco`. The dicts in it are changed in place.

    Args:
        data: with lists of images, annotations and categories.
        source: what the messages call it.
        images: as in `read_coco`.
    """
    problems: list[Problem] = []
    given_images = _objects(data["images"], f"{source}: images", problems)
    given_annotations = _objects(data["annotations"], f"{source}: annotations", problems)
    if any(isinstance(x.get("id"), str) for x in given_images):
        problems.append(Problem("note", "ids written as text", source, "taken as numbers"))
    categories = _check_categories(data["categories"], source)
    for name, count in Counter(categories.values()).items():
        if count > 1:
            text = f"{source}: {count} classes {name!r}"
            problems.append(Problem("warning", "classes of the same name", text))
    records = _repair_images(given_images, images, problems)
    annotations = _repair_annotations(given_annotations, records, categories, problems)
    repaired = {
        "images": list(records.values()),
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in sorted(categories.items())],
    }
    return repaired, problems


def _objects(given: list, where: str, problems: list[Problem]) -> list[dict]:
    """The entries that are JSON objects."""
    for i, entry in enumerate(given):
        if not isinstance(entry, dict):
            text = f"{where}[{i}]: {reprlib.repr(entry)}"
            problems.append(Problem("error", "entry that is no object", text, "left out"))
    return [entry for entry in given if isinstance(entry, dict)]


def _check_categories(categories: list, source: str) -> dict[int, str]:
    named = {}
    for category in categories:
        number = _integer(category.get("id")) if isinstance(category, dict) else None
        name = category.get("name") if isinstance(category, dict) else None
        if number is None or not isinstance(name, str) or number in named:
            raise ValueError(
                f"{source}: every category needs an integer id of its own and a name, got "
                f"{reprlib.repr(category)}"
            )
        named[number] = name
    return named


def _integer(value: object) -> int | None:
    """`value` as an id: integers, also written as text or as 3.0; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    try:
        return int(value)
    except ValueError:
        return None


def _is_finite(value: object) -> bool:
    """Whether `value` is a number that fits a float; JSON also holds NaN and endless integers."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max


# --- images -------------------------------------------------------------------------------------


def _repair_images(
    given: list, images: str | Path | None, problems: list[Problem]
) -> dict[int, dict]:
    """Images by id; those that cannot be used are left out."""
    records: dict[int, dict] = {}
    names = set()
    for image in given:
        number = _integer(image.get("id"))
        where = f"image {image.get('file_name')} (id {image.get('id')!r})"
        if number is None or not isinstance(image.get("file_name"), str):
            problems.append(Problem("error", "image without id or name", where, "left out"))
            continue
        if number in records:
            kind = "two images with one id"
            problems.append(Problem("error", kind, where, "left out with its boxes"))
            records[number]["ambiguous"] = True
            continue
        if image["file_name"] in names:
            problems.append(Problem("warning", "image listed twice", where))
        names.add(image["file_name"])
        image["id"] = number
        if _settle_size(image, images, where, problems):
            records[number] = image
    # Nobody knows which of two images the boxes of one id belong to.
    return {i: image for i, image in records.items() if not image.pop("ambiguous", False)}


def _settle_size(
    image: dict, images: str | Path | None, where: str, problems: list[Problem]
) -> bool:
    """Gives `image` its true size; False for one that cannot be used."""
    stated = image.get("height"), image.get("width")
    sound = all(_is_finite(x) and x >= 1 and x == int(x) for x in stated)
    if images is None:
        if not sound:
            problems.append(Problem("error", "image without size", where, "left out"))
            return False
        image["height"], image["width"] = map(int, stated)
        return True
    path = find_file(images, image["file_name"])
    if not os.path.exists(path):  # unlike Path.exists it answers for names that are too long
        text = f"{where}: {path}{backslash_hint(path)}"
        problems.append(Problem("error", "image file missing", text, "left out"))
        return False
    if path != Path(images, image["file_name"]):  # under the name that Windows gave it
        image["file_name"] = image["file_name"].replace("\\", "/")
    try:
        true = image_size(path)  # of what the reader gives: turned as its EXIF tag says
    except ImageError as error:
        problems.append(Problem("error", "image unreadable", str(error), "left out"))
        return False
    if not sound:
        problems.append(Problem("note", "image without size", where, "taken from the file"))
    elif stated != true:
        kind, text = "image of another size than stated", f"{where}: {stated} stated, {true} found"
        problems.append(Problem("error", kind, text, "taken from the file"))
    image["height"], image["width"] = true
    return True


# --- annotations --------------------------------------------------------------------------------


def _repair_annotations(
    given: list, records: dict[int, dict], categories: dict[int, str], problems: list[Problem]
) -> list[dict]:
    kept, seen, ids = [], set(), set()
    for annotation in given:
        image = records.get(_integer(annotation.get("image_id")))
        category = _integer(annotation.get("category_id"))
        where = f"annotation {annotation.get('id')!r}"
        if image is None:
            kind = "annotation of an image that is not listed or was left out"
            text = f"{where} of image {annotation.get('image_id')!r}"
            problems.append(Problem("error", kind, text, "left out"))
            continue
        where = f"{where} of {image['file_name']}"
        if category not in categories:
            kind = "unknown category"
            text = f"{where}: category_id {annotation.get('category_id')!r}"
            problems.append(Problem("error", kind, text, "left out"))
            continue
        annotation.update(image_id=image["id"], category_id=category)
        if not _repair_box(annotation, image, where, problems):
            continue
        # Hashes take a tenth of the memory of the tuples; a million of them hardly ever collide.
        key = hash((image["id"], category, *annotation["bbox"]))
        if key in seen:
            problems.append(Problem("warning", "annotation given twice", where, "left out"))
            continue
        seen.add(key)
        number = _integer(annotation.get("id"))
        # COCO's metric takes a ground truth with id 0 for an unmatched one.
        if number in ids or not number or number < 0:
            kind = "annotation id that is 0, double or none"
            problems.append(Problem("warning", kind, where, "renumbered"))
            number = None
        annotation["id"] = number
        ids.add(number)
        kept.append(annotation)
    _renumber(kept, ids)
    return kept


def _renumber(annotations: list[dict], ids: set) -> None:
    free = max((i for i in ids if i is not None), default=0) + 1
    for annotation in annotations:
        if annotation["id"] is None:
            annotation["id"] = free
            free += 1


def _repair_box(annotation: dict, image: dict, where: str, problems: list[Problem]) -> bool:
    """Makes the box one inside its image; False for one that cannot be."""
    box = annotation.get("bbox")
    is_four = isinstance(box, (list, tuple)) and len(box) == 4
    if not is_four or not all(map(_is_finite, box)):
        kind = "box that is not four finite numbers"
        problems.append(Problem("error", kind, f"{where}: {reprlib.repr(box)}", "left out"))
        return False
    x, y, width, height = box
    if width <= 0 or height <= 0:
        kind = "box without area"
        problems.append(Problem("warning", kind, f"{where}: {box}", "left out"))
        return False
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, image["width"]), min(y + height, image["height"])
    if right <= left or bottom <= top:
        kind = "box outside the image"
        problems.append(Problem("warning", kind, f"{where}: {box}", "left out"))
        return False
    # Half a pixel over the border is how rounding looks, not a mistake.
    over = max(left - x, top - y, x + width - right, y + height - bottom)
    if over > 0:
        clipped = [left, top, right - left, bottom - top]
        annotation.update(bbox=clipped, area=clipped[2] * clipped[3])
        if over > 1:
            kind = "box beyond the image"
            problems.append(Problem("warning", kind, f"{where}: {box}", "clipped"))
    _repair_fields(annotation, where, problems)
    return True


def _repair_fields(annotation: dict, where: str, problems: list[Problem]) -> None:
    """Gives `annotation` an area and a crowd flag that the metric can use."""
    area, crowd = annotation.get("area"), annotation.get("iscrowd")
    if not _is_finite(area) or area <= 0:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
        if area is not None:
            kind, text = "area that is no positive number", f"{where}: {reprlib.repr(area)}"
            problems.append(Problem("warning", kind, text, "taken from the box"))
    if crowd not in (None, 0, 1, "0", "1"):
        kind, text = "iscrowd that is neither 0 nor 1", f"{where}: {reprlib.repr(crowd)}"
        problems.append(Problem("warning", kind, text, "taken as 0"))
    annotation["iscrowd"] = 1 if crowd in (1, "1") else 0
