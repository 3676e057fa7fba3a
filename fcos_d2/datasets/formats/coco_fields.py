"""Fields of COCO annotations beside the box: area, flags, masks and key points."""

import reprlib
import sys
from typing import TypeGuard

from pycocotools import mask as coco_mask

from ..problems import Place, Problem

LEAST_NUMBERS = 6  # of a polygon: three corners
NOT_NEEDED = "left out; boxes do not need it"


def is_finite(value: object) -> TypeGuard[float]:
    """Whether `value` is a number that fits a float; JSON also holds NaN and endless integers."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max


def repair_fields(annotation: dict, image: dict, place: Place, problems: list[Problem]) -> None:
    """Gives `annotation` an area and a crowd flag that the metric can use, and sound fields."""
    area = annotation.get("area")
    if not is_finite(area) or area <= 0:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
        if area is not None:
            kind, text = "area that is no positive number", f"area {reprlib.repr(area)}"
            problems.append(Problem("warning", kind, text, "taken from the box", place))
    annotation["iscrowd"] = _flag(annotation.get("iscrowd"), "iscrowd", place, problems)
    if "ignore" in annotation and _flag(annotation.pop("ignore"), "ignore", place, problems):
        if not annotation["iscrowd"]:
            problems.append(Problem("note", "box with ignore 1", "", "counts as crowd", place))
        annotation["iscrowd"] = 1
    if "segmentation" in annotation:
        _repair_mask(annotation, image, place, problems)
    if "keypoints" in annotation:
        _repair_keypoints(annotation, place, problems)


def _flag(value: object, name: str, place: Place, problems: list[Problem]) -> int:
    if value not in (None, 0, 1, "0", "1"):
        kind, text = f"{name} that is neither 0 nor 1", f"{name} {reprlib.repr(value)}"
        problems.append(Problem("warning", kind, text, "taken as 0", place))
    return 1 if value in (1, "1") else 0


def _repair_mask(annotation: dict, image: dict, place: Place, problems: list[Problem]) -> None:
    """Keeps polygons and run lengths that can be drawn."""
    given = annotation["segmentation"]
    if given is None or given == []:  # how files without masks are written
        annotation["segmentation"] = []
        return
    if isinstance(given, list):
        sound = [polygon for polygon in given if _is_polygon(polygon)]
        whole = len(sound) == len(given)
    else:
        whole = _is_run_lengths(given, image["height"], image["width"])
        sound = given if whole else []
    if not whole:
        annotation["segmentation"] = sound
        kind, text = "segmentation that is no mask", reprlib.repr(given)
        problems.append(Problem("note", kind, text, NOT_NEEDED, place))


def _is_polygon(polygon: object) -> bool:
    if not isinstance(polygon, list) or len(polygon) < LEAST_NUMBERS or len(polygon) % 2:
        return False
    return all(map(is_finite, polygon))


def _is_run_lengths(given: object, height: int, width: int) -> bool:
    """Whether they are of an image of that size; of compressed ones only the form is looked at."""
    if not isinstance(given, dict) or given.get("size") != [height, width]:
        return False
    counts = given.get("counts")
    if isinstance(counts, str):
        return bool(counts) and counts.isascii()
    if not isinstance(counts, list) or not all(type(x) is int and x >= 0 for x in counts):
        return False
    return sum(counts) == height * width


def _repair_keypoints(annotation: dict, place: Place, problems: list[Problem]) -> None:
    given = annotation["keypoints"]
    if isinstance(given, list) and len(given) % 3 == 0 and all(map(is_finite, given)):
        return
    for key in ("keypoints", "num_keypoints"):
        annotation.pop(key, None)
    if given is not None:
        kind, text = "keypoints that are not three numbers each", reprlib.repr(given)
        problems.append(Problem("note", kind, text, NOT_NEEDED, place))


def has_mask(annotation: dict, image: dict) -> bool:
    """Whether the segmentation of a repaired annotation is a mask with pixels in its image."""
    segmentation, size = annotation.get("segmentation"), (image["height"], image["width"])
    if not segmentation:
        return False
    if isinstance(segmentation, list):
        return any(coco_mask.area(part) > 0 for part in coco_mask.frPyObjects(segmentation, *size))
    counts = segmentation["counts"]
    counts = _decompressed(counts) if isinstance(counts, str) else counts
    fits = min(counts, default=-1) >= 0 and sum(counts) == size[0] * size[1]
    return fits and sum(counts[1::2]) > 0


def _decompressed(text: str) -> list[int]:
    """The run lengths in COCO's text: 5 bits a character, the lowest first; from the third number
    on the difference to the last but one. pycocotools does not look whether they fill the image.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:  # the number goes on
            continue
        if bits & 16:  # negative
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value, shift = 0, 0
    return counts
