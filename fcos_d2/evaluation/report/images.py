"""The images of a set one by one, from worst to best, and in slices."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets.near_duplicates import small_grey
from ..matches import Matches
from ..results import DetectionSet
from .figures import of_parts

logger = logging.getLogger(__name__)

KNOWN_FIELDS = {"id", "file_name", "width", "height", "source_id", "license", "coco_url"}
KNOWN_FIELDS |= {"flickr_url", "date_captured"}
MOST_VALUES = 12  # of a field that is worth a slice for each
PARTS = 3  # of a field of numbers
Part = tuple[str, np.ndarray]


def image_table(data: DetectionSet, matches: Matches, threshold: float) -> list[dict[str, Any]]:
    """A row for each image, the worst first: by F1 at the threshold, then by the mistakes.

    Args:
        data, matches: of the set.
        threshold: detections of at least this score count.
    """
    count = matches.image_count
    kept = (matches.score >= threshold) & ~matches.ignored[0, 0]
    true = np.bincount(matches.image[kept & matches.true[0, 0]], minlength=count)
    wrong = np.bincount(matches.image[kept], minlength=count) - true
    objects = matches.object_counts[0].sum(axis=0)
    everything = true + wrong + objects
    f1 = np.where(everything > 0, 2 * true / np.maximum(everything, 1), 1.0)
    mistakes = wrong + objects - true
    rows = []
    for i in np.lexsort((np.arange(count), -mistakes, f1)).tolist():
        image = data.images[i]
        rows.append(
            {
                "id": image["id"],
                "file_name": str(image.get("file_name", "")),
                "width": image.get("width"),
                "height": image.get("height"),
                "boxes": int(objects[i]),
                "true": int(true[i]),
                "wrong": int(wrong[i]),
                "missed": int(objects[i] - true[i]),
                "f1": float(f1[i]),
            }
        )
    return rows


def slices(
    data: DetectionSet, matches: Matches, brightness: Sequence[float] | None = None
) -> list[dict[str, object]]:
    """AP of the images by their size, brightness, number of objects and fields of the json.

    Args:
        data, matches: of the set.
        brightness: see `mean_brightness`; None leaves it out.
    """
    objects = matches.object_counts[0].sum(axis=0)
    sides = [float(np.sqrt((x.get("width") or 0) * (x.get("height") or 0))) for x in data.images]
    found = {
        "image size": _by_number(sides, "px, root of the area"),
        "number of objects": _by_number(objects.tolist(), "objects"),
    }
    if brightness is not None:
        found["brightness"] = _by_number(brightness, "of 255")
    for name in sorted({key for image in data.images for key in image} - KNOWN_FIELDS):
        found[name] = _by_field([image.get(name) for image in data.images])
    found = {name: parts for name, parts in found.items() if len(parts) > 1}
    everything = [part for parts in found.values() for part in parts]
    rows = iter(of_parts(matches, everything) if everything else ())
    return [{"by": name, "parts": [next(rows) for _ in parts]} for name, parts in found.items()]


def _by_number(values: Sequence[float], unit: str) -> list[Part]:
    """Thirds of the images that have a number; fewer where many have the same."""
    numbers = np.array(values, dtype=np.float64)
    there = np.flatnonzero(np.isfinite(numbers))
    if not len(there):
        return []
    edges = np.quantile(numbers[there], np.arange(1, PARTS) / PARTS)
    place = np.searchsorted(np.unique(edges), numbers[there], side="left")
    parts = []
    for p in np.unique(place):
        mine = there[place == p]
        low, high = numbers[mine].min(), numbers[mine].max()
        span = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        parts.append((f"{span} {unit}", mine))
    return parts


def _by_field(values: Sequence[object]) -> list[Part]:
    """An own part for each value; of many numbers thirds; none for what is different everywhere."""
    # NaN, which some tools write for a missing value, is the only one unequal to itself.
    plain = [x if isinstance(x, (str, int, float, bool)) and x == x else None for x in values]
    distinct = Counter(x for x in plain if x is not None)
    if len(distinct) <= min(MOST_VALUES, len(values) / 2):  # else it names single images
        named = [(str(value), value) for value, _ in distinct.most_common()]
        return [
            (name, np.array([i for i, x in enumerate(plain) if x == value]))
            for name, value in named
        ]
    if all(isinstance(x, (int, float)) for x in distinct):
        return _by_number([float("nan") if x is None else float(x) for x in plain], "")
    return []


def mean_brightness(
    data: DetectionSet, progress: Callable[[Sequence[dict]], Iterable[dict]] = iter
) -> list[float] | None:
    """The mean grey value of each image, in [0, 255]; NaN for one that cannot be read.

    Args:
        data: with the folder of the images; None where there is none, or none can be read.
        progress: goes through the images and shows how far it is.
    """
    if data.folder is None:
        return None
    values = [_brightness(data.folder / str(x["file_name"])) for x in progress(data.images)]
    unread = sum(not np.isfinite(x) for x in values)
    if unread:
        logger.warning("brightness: %d of %d images cannot be read", unread, len(values))
    return values if unread < len(values) else None


def _brightness(path: Path) -> float:
    small = small_grey(path)
    return float("nan") if small is None else float(np.asarray(small).mean())
