"""Boxes of a COCO file that are not [x, y, width, height] in pixels; all of them decide."""

from itertools import chain

import numpy as np

from ..problems import Place, Problem
from .coco_fields import is_finite

SAMPLE = 100_000  # boxes that are looked at
ROUNDING = 0.01  # of a share of the image, and of an area
LEAST_PERCENT = 20  # boxes; of fewer it cannot be told
COCO_BOX = "COCO's are [x, y, width, height] in pixels"


def settle_convention(
    annotations: list[dict], images: dict[int, dict], source: str, problems: list[Problem]
) -> None:
    """Turns shares of the image and corners into COCO's boxes, in place, and says so.

    Args:
        annotations: with `image_id` and a `bbox` of four finite numbers.
        images: by id, with width and height.
        source: what the messages call the file.
        problems: gets an error, because the file does not say what its boxes mean.
    """
    sample = annotations[:: len(annotations) // SAMPLE + 1]
    if not sample:
        return
    boxes = np.fromiter(chain.from_iterable(a["bbox"] for a in sample), float).reshape(-1, 4)
    sizes = np.array([_size(images[a["image_id"]]) for a in sample], dtype=float)
    shares, one = _are_shares(boxes, sizes), 1
    percent = _are_percent(boxes, sizes)
    if shares.mean() >= 0.5:
        kind = "boxes that look relative, shares of the image"
        text = _say(sample, images, shares, "lie within [0, 1]")
    elif percent.any():
        kind, one = "boxes that look relative, percent of the image", 100
        text = _say(sample, images, percent, "lie within [0, 100] and reach from end to end of it")
    else:
        kind = ""
    if kind:
        repair = f"scaled to px, with {one} for width and height of the image; polygons left out"
        problems.append(Problem("error", kind, text, repair, Place(source)))
        boxes = boxes * np.tile(sizes, 2) / one
        _scale(annotations, images, one)
    areas = np.array([a["area"] if is_finite(a.get("area")) else 0 for a in sample], dtype=float)
    if _are_corners(boxes, sizes, areas):
        kind = "boxes that look like corners, xyxy"
        over = (boxes[:, :2] + boxes[:, 2:] > sizes + 1).any(axis=1)
        what = "reach beyond the image, and as [x1, y1, x2, y2] all lie in it"
        text = _say(sample, images, over, what)
        repair = "taken as [x1, y1, x2, y2]"
        problems.append(Problem("error", kind, text, repair, Place(source)))
        for annotation in annotations:
            x1, y1, x2, y2 = annotation["bbox"]
            _replace(annotation, [x1, y1, x2 - x1, y2 - y1])


def _are_shares(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(M,) bool: fractions within the first pixel of images that have more than that."""
    within = ((boxes >= -ROUNDING) & (boxes <= 1 + ROUNDING)).all(axis=1)
    fractions = (boxes != boxes.round()).any(axis=1)
    return within & fractions & (sizes > 2).all(axis=1)


def _are_percent(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(M,) bool: all of them or none; boxes within the first 100 px of far larger images.

    Only where nothing else explains it: many boxes with fractions, in images of different sizes
    that are all several times as large, fill [0, 100] up to its end in both directions and never
    pass it.
    """
    ends = boxes[:, :2] + boxes[:, 2:]
    if (ends > 100 + ROUNDING).any():  # corners, or none
        ends = boxes[:, 2:]
    within = (boxes >= -ROUNDING).all() and (ends <= 100 + ROUNDING).all()
    filled = (ends.max(axis=0) > 97).all() and (boxes[:, :2].min(axis=0) < 10).all()
    is_percent = (
        len(boxes) >= LEAST_PERCENT
        and (sizes >= 250).all()
        and len(np.unique(sizes, axis=0)) > 1
        and (boxes != boxes.round()).any(axis=1).mean() >= 0.5
        and within
        and filled
    )
    return np.full(len(boxes), is_percent)


def _scale(annotations: list[dict], images: dict[int, dict], one: int) -> None:
    """Turns relative boxes into px, in place; `one` stands for a whole side of the image."""
    for annotation in annotations:
        sides = _size(images[annotation["image_id"]]) * 2
        box = annotation["bbox"]
        _replace(annotation, [x * side / one for x, side in zip(box, sides, strict=True)])
        annotation.pop("segmentation", None)


def _are_corners(boxes: np.ndarray, sizes: np.ndarray, areas: np.ndarray) -> bool:
    """Whether all boxes make sense as corners, and too few as corner and size.

    A few boxes over the border are a sloppy set, whose boxes do not all look like corners: in
    true ones width and height do not depend on the place. Corners taken as sizes end beyond the
    border, unless they lie in the upper left quarter of the image. A stated area decides small
    sets.
    """
    first, second = boxes[:, :2], boxes[:, 2:]
    as_corners = (second > first) & (first >= -1) & (second <= sizes + 1)
    if as_corners.all(axis=1).mean() < 0.99:
        return False
    by_corners, by_sizes = (second - first).prod(axis=1), second.prod(axis=1)
    fits_corners = np.abs(areas - by_corners) <= ROUNDING / 10 * by_corners
    fits_sizes = np.abs(areas - by_sizes) <= ROUNDING / 10 * by_sizes
    if (fits_corners & ~fits_sizes).mean() >= 0.5:
        return True
    over = (first + second - sizes > np.maximum(2, 0.02 * sizes)).any(axis=1)
    return over.sum() >= 4 and over.mean() >= (0.5 if fits_sizes.mean() >= 0.5 else 0.3)


def _size(image: dict) -> tuple[int, int]:
    return image["width"], image["height"]


def _replace(annotation: dict, box: list[float]) -> None:
    annotation["bbox"] = box
    annotation.pop("area", None)  # of the other box


def _say(sample: list[dict], images: dict[int, dict], wrong: np.ndarray, what: str) -> str:
    shown = sample[int(wrong.argmax())]
    width, height = _size(images[shown["image_id"]])
    box = [round(x, 4) for x in shown["bbox"]]
    return (
        f"{int(wrong.sum())} of {len(sample)} {what}, such as {box} in {width} x "
        f"{height} px; {COCO_BOX}"
    )
