"""Average precision with its intervals: of a set, by class, and of parts of the set."""

from collections.abc import Sequence

import numpy as np

from ..bootstrap import interval
from ..matches import AREAS, Matches, average_precision

FEW_BOXES = 20  # below which a figure means little
# Position of the area range, and the IoU thresholds that count.
FIGURES = {
    "AP": (0, slice(None)),
    "AP50": (0, slice(0, 1)),
    "AP75": (0, slice(5, 6)),
    "APs": (1, slice(None)),
    "APm": (2, slice(None)),
    "APl": (3, slice(None)),
}
Figure = dict[str, float | int | str]


def figures(
    matches: Matches, counts: np.ndarray
) -> tuple[dict[str, Figure], list[dict[str, object]]]:
    """Those of the whole set, and those of each class.

    Args:
        matches: of the set.
        counts: (B, N) of its resamples.
    """
    value, resampled = average_precision(matches), average_precision(matches, counts)
    overall = {name: _figure(matches, name, slice(None), value, resampled) for name in FIGURES}
    classes = []
    for k, class_name in enumerate(matches.class_names):
        part = slice(k, k + 1)
        found = {name: _figure(matches, name, part, value, resampled) for name in FIGURES}
        boxes = found["AP"]["boxes"]
        classes.append(
            {
                "name": class_name,
                "detections": int((matches.label == k).sum()),
                "note": few_boxes(int(boxes)),
                "figures": found,
            }
        )
    return overall, classes


def few_boxes(boxes: int) -> str:
    """What a figure of so many boxes is worth; "" where it is worth something."""
    if boxes >= FEW_BOXES:
        return ""
    return f"{boxes} boxes: the figure means little" if boxes != 1 else "1 box: it means little"


def mean_figure(precision: np.ndarray, name: str, classes: slice = slice(None)) -> np.ndarray:
    """(B,) a figure in percent, the mean over the classes that have boxes; NaN without any.

    Args:
        precision: (A, T, K, B), see `average_precision`.
        name: of FIGURES.
        classes: that count.
    """
    area, thresholds = FIGURES[name]
    some = precision[area, thresholds, classes]  # (t, k, B)
    there = np.isfinite(some)
    total, number = np.where(there, some, 0).sum(axis=(0, 1)), there.sum(axis=(0, 1))
    return np.where(number > 0, 100 * total / np.maximum(number, 1), np.nan)


def _figure(
    matches: Matches, name: str, classes: slice, value: np.ndarray, resampled: np.ndarray
) -> Figure:
    objects = matches.object_counts[FIGURES[name][0], classes]  # (k, N)
    images = int((objects.sum(axis=0) > 0).sum())
    found = float(mean_figure(value, name, classes)[0])
    limits = interval(found, mean_figure(resampled, name, classes), images)
    return {
        "value": found,
        "low": max(limits.low, 0.0),
        "high": min(limits.high, 100.0),
        "boxes": int(objects.sum()),
        "images": images,
    }


def of_parts(matches: Matches, parts: Sequence[tuple[str, np.ndarray]]) -> list[dict[str, object]]:
    """AP of parts of the images, without intervals.

    Args:
        matches: of the set.
        parts: the name of each, and its images as indices.
    """
    counts = np.zeros((len(parts), matches.image_count), dtype=np.int64)
    for row, (_, images) in zip(counts, parts, strict=True):
        row[images] = 1
    precision = average_precision(matches, counts)
    values = {name: mean_figure(precision, name) for name in FIGURES}
    boxes = matches.object_counts[list(AREAS).index("all")].sum(axis=0)
    return [
        {
            "name": name,
            "images": len(images),
            "boxes": int(boxes[images].sum()),
            "note": few_boxes(int(boxes[images].sum())),
            **{key: float(column[i]) for key, column in values.items()},
        }
        for i, (name, images) in enumerate(parts)
    ]
