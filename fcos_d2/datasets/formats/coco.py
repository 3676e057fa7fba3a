"""Reading COCO json, and repairing what is wrong in it."""

import os
import reprlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fcos_deploy.files import backslash_hint, find_file
from fcos_deploy.text import read_json
from fcos_deploy.vision import ImageError, image_size

from ..ids import Id, as_id, find_id, number_ids
from ..problems import Place, Problem
from .coco_annotations import repair_annotations
from .coco_fields import is_finite
from .image_names import OtherNames

Coco = dict[str, list[dict]]
SOURCE_ID = "source_id"  # field of images and categories that got another id than in the file


def read_coco(json_file: str | Path, images: str | Path | None) -> tuple[Coco, list[Problem]]:
    """A COCO detection file, repaired.

    Args:
        json_file: annotations.
        images: folder that the file names are relative to; None looks at no image.

    Returns:
        The file's images, annotations and categories without what is wrong in them, and the
        problems; one of severity "error" has to be dealt with before training. Ids that are
        texts, negative or beyond 2**53 are replaced by numbers; `source_id` of the images
        and categories keeps them.

    Raises:
        ValueError: nothing can be made of the file; names it.
    """
    data: Any = read_json(json_file)
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
    given_images = _objects(data, "images", source, problems)
    given_annotations = _objects(data, "annotations", source, problems)
    categories = _check_categories(data["categories"], source)
    _leave_out_root(categories, given_annotations, source, problems)
    for name, count in Counter(x["name"] for x in categories.values()).items():
        if count > 1:
            kind, text = "classes of the same name", f"{count} classes {name!r}"
            problems.append(Problem("warning", kind, text, place=Place(source)))
    records = _repair_images(given_images, images, problems)
    for kind, entries in (("images", records), ("categories", categories)):
        _renumber(entries, kind, source, problems)
    annotations = repair_annotations(given_annotations, records, categories, source, problems)
    repaired = {
        "images": list(records.values()),
        "annotations": annotations,
        "categories": sorted(categories.values(), key=lambda x: x["id"]),
    }
    return repaired, problems


def _objects(data: Coco, key: str, source: str, problems: list[Problem]) -> list[dict]:
    """The entries of a list that are JSON objects."""
    for i, entry in enumerate(data[key]):
        if not isinstance(entry, dict):
            kind, text = "entry that is no object", f"{key}[{i}]: {reprlib.repr(entry)}"
            problems.append(Problem("error", kind, text, "left out", Place(source)))
    return [entry for entry in data[key] if isinstance(entry, dict)]


def _renumber(entries: dict[Id, dict], key: str, source: str, problems: list[Problem]) -> None:
    """Gives images or categories ids that every tool can hold, in place."""
    numbers = number_ids(entries)
    for given, entry in entries.items():
        entry["id"] = numbers[given]
        entry.pop(SOURCE_ID, None)
        if numbers[given] != given:
            entry[SOURCE_ID] = given
    other = [given for given, number in numbers.items() if given != number]
    if other:
        texts = any(isinstance(given, str) for given in entries)
        kind = "ids written as text" if texts else "ids below 0 or beyond 2**53"
        text = f"{key}: {len(other)}, such as {reprlib.repr(other[0])}"
        repair = "numbered anew; results carry the file's ids"
        problems.append(Problem("note", kind, text, repair, Place(source)))


# --- categories ---------------------------------------------------------------------------------


def _check_categories(categories: list, source: str) -> dict[Id, dict]:
    """Categories with id, name and supercategory, by the id of the file."""
    named = {}
    for category in categories:
        given = as_id(category.get("id")) if isinstance(category, dict) else None
        name = category.get("name") if isinstance(category, dict) else None
        if given is None or not isinstance(name, str) or given in named:
            raise ValueError(
                f"{source}: every category needs an id of its own and a name, got "
                f"{reprlib.repr(category)}"
            )
        named[given] = category
    return named


def _leave_out_root(
    categories: dict[Id, dict], annotations: list[dict], source: str, problems: list[Problem]
) -> None:
    """Takes Roboflow's first category out, which is the parent of the others and has no boxes.

    What is left are ids and names.
    """
    for given, category in list(categories.items()):
        others = [x for x in categories.values() if x is not category]
        is_root = category.get("supercategory") == "none" and others
        if not is_root or any(x.get("supercategory") != category["name"] for x in others):
            continue
        if not any(find_id(x.get("category_id"), categories) == given for x in annotations):
            text = f"(id {given!r}), supercategory of all others"
            kind = "root category without boxes, as Roboflow writes"
            place = Place(source, category=category["name"])
            problems.append(Problem("note", kind, text, "left out", place))
            del categories[given]
            break
    for given, category in categories.items():
        categories[given] = {"id": given, "name": category["name"]}


# --- images -------------------------------------------------------------------------------------


def _repair_images(
    given: list, images: str | Path | None, problems: list[Problem]
) -> dict[Id, dict]:
    """Images by the id of the file; those that cannot be used are left out."""
    records: dict[Id, dict] = {}
    names: dict[str, str] = {}  # the stated one, by it and by that of the file
    others = None if images is None else OtherNames(Path(images))
    for image in given:
        key = as_id(image.get("id"))
        name, text = image.get("file_name"), f"image id {reprlib.repr(image.get('id'))}"
        if key is None or not isinstance(name, str):
            kind, text = "image without id or name", f"image {reprlib.repr(name)}, {text[6:]}"
            problems.append(Problem("error", kind, text, "left out"))
            continue
        place = Place(image=name)
        if key in records:
            kind = "two images with one id"
            problems.append(Problem("error", kind, text, "left out with its boxes", place))
            records[key]["ambiguous"] = True
            continue
        if name in names:
            problems.append(Problem("warning", "image listed twice", text, place=place))
        if _settle_size(image, others, names, place, problems):
            records[key] = image
        names |= {name: name, image["file_name"]: name}
    # It is unknown which of two images the boxes of one id belong to.
    return {i: image for i, image in records.items() if not image.pop("ambiguous", False)}


def _settle_size(
    image: dict,
    others: OtherNames | None,
    taken: Mapping[str, str],
    place: Place,
    problems: list[Problem],
) -> bool:
    """Gives `image` its true size; False for one that cannot be used.

    Args:
        image: of the file.
        others: of the folder of the images; None looks at no image.
        taken: what the images before it are called in the file, by the names of theirs.
        place: of the image.
        problems: gets what is wrong.
    """
    stated = image.get("height"), image.get("width")
    whole = [int(x) for x in stated if is_finite(x) and x >= 1 and x == int(x)]
    sound = len(whole) == 2
    if others is None:
        if not sound:
            problems.append(Problem("error", "image without size", "", "left out", place))
            return False
        image["height"], image["width"] = whole
        return True
    path = _settle_name(image, others, taken, place, problems)
    if path is None:
        return False
    try:
        true = image_size(path)  # of what the reader gives: turned as its EXIF tag says
    except ImageError as error:
        problems.append(Problem("error", "image unreadable", str(error), "left out", place))
        return False
    if not sound:
        problems.append(Problem("note", "image without size", "", "taken from the file", place))
    elif stated != true:
        kind, text = "image of another size than stated", f"{stated} stated, {true} found"
        problems.append(Problem("error", kind, text, "taken from the file", place))
    image["height"], image["width"] = true
    return True


def _settle_name(
    image: dict,
    others: OtherNames,
    taken: Mapping[str, str],
    place: Place,
    problems: list[Problem],
) -> Path | None:
    """Gives `image` the name of its file, below the folder; returns the path, None without one."""
    stated = image["file_name"]
    path = find_file(others.folder, stated)
    if os.path.exists(path):  # unlike Path.exists it answers for names that are too long
        if path != Path(others.folder, stated):  # under the name that Windows gave it
            image["file_name"] = stated.replace("\\", "/")
        return path
    found = others.find(stated)
    name = found.relative_to(others.folder).as_posix() if found else ""
    # Of two names that can mean one file, one is of an image that is not there.
    if found is None or taken.get(name, stated) != stated:
        text = f"{path}{backslash_hint(path)}{others.hint(stated)}"
        problems.append(Problem("error", "image file missing", text, "left out", place))
        return None
    kind = "image under another path than stated"
    problems.append(Problem("note", kind, str(found), "taken", place))
    image["file_name"] = name
    return found
