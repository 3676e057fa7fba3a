"""Which detection finds which object, once for a whole set; average precision of its resamples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from .coco_limits import COCO_LIMIT
from .coco_truth import hotcoco
from .results import Boxes, DetectionSet, by_image

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
# px², closed at both ends, as in COCO's metric.
AREAS = {
    "all": (0, 1e5**2),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e5**2),
}
_CELLS = 500_000  # of a table of hits x resamples: it stays in the cache


@dataclass(frozen=True, kw_only=True)
class Matches:
    """COCO's matching of a set. A = 4 area ranges (`AREAS`), T = 10 IoU thresholds
    (`IOU_THRESHOLDS`), D detections, M objects, K classes, N images.

    Attributes:
        class_names: of the K classes.
        image, label, score: (D,) of the detections, best first; those that COCO's limit on the
            detections of a class in an image leaves out are not here.
        row: (D,) their position in `DetectionSet.detections`.
        true: (A, T, D) finds an object that counts.
        ignored: (A, T, D) counts neither for nor against: on a crowd, or of another size.
        object_of: (T, D) the object that each has found, among all sizes; -1 for none.
        object_counts: (A, K, N) of the objects to find.
    """

    class_names: tuple[str, ...]
    image: np.ndarray
    label: np.ndarray
    score: np.ndarray
    row: np.ndarray
    true: np.ndarray
    ignored: np.ndarray
    object_of: np.ndarray
    object_counts: np.ndarray

    @property
    def image_count(self) -> int:
        return self.object_counts.shape[2]


def match(data: DetectionSet, max_dets_per_image: int = COCO_LIMIT) -> Matches:
    """Matches as pycocotools' `evaluateImg` does, in all images at once.

    hotcoco matches in the same way, and gives the metric its numbers; but what it gives away of
    its matches are Python lists, which take a minute for 5,000 images.

    Args:
        data: ground truth and detections.
        max_dets_per_image: the best so many detections of a class count in each image.
    """
    found, objects = data.found, data.objects
    order = _best_first(found.image, found.label, found.score, max_dets_per_image)
    found = found.of(order)
    bounds = np.array(list(AREAS.values()))
    outside = (objects.area < bounds[:, :1]) | (objects.area > bounds[:, 1:])
    passed = outside | objects.crowd  # (A, M) objects that do not count
    pairs = _pairs(found, objects, len(data.images))
    object_of = _assign(found, *pairs, passed, objects.crowd)  # (A, T, D)
    matched = object_of >= 0
    passed_by = passed[np.arange(len(AREAS))[:, None, None], object_of] if len(objects) else matched
    small_or_large = (found.area < bounds[:, :1]) | (found.area > bounds[:, 1:])
    ignored = np.where(matched, passed_by, small_or_large[:, None])
    counts = np.zeros((len(AREAS), len(data.categories), len(data.images)), dtype=np.int64)
    for a, skip in enumerate(passed):
        np.add.at(counts[a], (objects.label[~skip], objects.image[~skip]), 1)
    return Matches(
        class_names=tuple(data.class_names),
        image=found.image,
        label=found.label,
        score=found.score,
        row=order,
        true=matched & ~ignored,
        ignored=ignored,
        object_of=object_of[0],
        object_counts=counts,
    )


def _best_first(image: np.ndarray, label: np.ndarray, score: np.ndarray, limit: int) -> np.ndarray:
    """Positions by falling score; ties by image, then as in the file. `limit` for each class."""
    order = np.lexsort((image, -score))
    return order[_turns(image[order], label[order]) < limit]


def _turns(image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """How many of the same image and class stand before each."""
    order = np.lexsort((label, image))  # stable
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(image[order]) != 0) | (np.diff(label[order]) != 0)
    place = np.arange(len(order))
    turns = np.empty(len(order), dtype=np.int64)
    turns[order] = place - np.maximum.accumulate(np.where(new, place, 0))
    return turns


def _pairs(found: Boxes, objects: Boxes, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Detection, object and IoU of pairs of a class that could match, in `count` images."""
    parts = []
    of_images = (by_image(x.image, count) for x in (found, objects))
    for mine, theirs in zip(*of_images, strict=True):
        if len(mine) and len(theirs):
            iou = hotcoco.primitives.bbox_iou(
                found.xywh[mine], objects.xywh[theirs], objects.crowd[theirs]
            )
            near = (iou >= IOU_THRESHOLDS[0]) & (
                found.label[mine][:, None] == objects.label[theirs]
            )
            d, m = near.nonzero()
            parts.append((mine[d], theirs[m], iou[d, m]))
    if not parts:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
    detection, obj, iou = map(np.concatenate, zip(*parts, strict=True))
    ranked = np.lexsort((obj, iou, detection))  # of equal IoU the last object wins
    return detection[ranked], obj[ranked], iou[ranked]


def _assign(
    found: Boxes,
    detection: np.ndarray,
    obj: np.ndarray,
    iou: np.ndarray,
    passed: np.ndarray,
    crowd: np.ndarray,
) -> np.ndarray:
    """The object of each detection, (A, T, D), -1 for none; the better detections choose first.

    Detections of other images or classes do not compete, so that the first of each image and class
    choose at once, then the second, and so on.

    Args:
        found: the D detections, best first.
        detection, obj, iou: (P,) pairs, by detection, rising IoU and object.
        passed: (A, M) objects that do not count; one is found only where none that counts is.
        crowd: (M,) objects that any number of detections may find.
    """
    taken = np.zeros((len(passed), len(IOU_THRESHOLDS), passed.shape[1]), dtype=bool)
    result = np.full((len(passed), len(IOU_THRESHOLDS), len(found)), -1, dtype=np.int32)
    close = iou >= np.minimum(IOU_THRESHOLDS, 1 - 1e-10)[:, None]  # (T, P)
    choosing = np.unique(detection)
    turn = np.zeros(len(found), dtype=np.int64)
    turn[choosing] = _turns(found.image[choosing], found.label[choosing])
    for now in range(turn.max(initial=-1) + 1):
        pairs = np.flatnonzero(turn[detection] == now)
        if not len(pairs):
            break
        ours = obj[pairs]
        free = close[:, pairs] & (~taken[:, :, ours] | crowd[ours])  # (A, T, p)
        place = np.arange(len(pairs))
        # The last of a detection's pairs that counts, else the last that does not.
        worth = np.where(passed[:, None, ours], place, place + len(pairs))
        starts = np.flatnonzero(np.diff(detection[pairs], prepend=-1))
        best = np.maximum.reduceat(np.where(free, worth, -1), starts, axis=2)
        chosen = np.where(best >= 0, ours[best % len(pairs)], -1)
        result[:, :, detection[pairs][starts]] = chosen
        a, t, d = (chosen >= 0).nonzero()
        taken[a, t, chosen[a, t, d]] = True
    return result


def average_precision(matches: Matches, counts: np.ndarray | None = None) -> np.ndarray:
    """COCO's average precision of a set, or of resamples of its images.

    Args:
        matches: of the set.
        counts: (B, N) how often each resample has each image; None: the set itself, B = 1.

    Returns:
        (A, T, K, B) in [0, 1]; NaN where there is no object to find.
    """
    if counts is None:
        counts = np.ones((1, matches.image_count), dtype=np.int64)
    classes = [np.flatnonzero(matches.label == k) for k in range(len(matches.class_names))]
    most_hits = max((int(matches.true[0, 0, mine].sum()) for mine in classes), default=0)
    step = max(1, _CELLS // max(most_hits, 1))
    parts = [
        _of_resamples(matches, classes, counts[start : start + step])
        for start in range(0, len(counts), step)
    ]
    return np.concatenate(parts, axis=3)


def _of_resamples(
    matches: Matches, classes: Sequence[np.ndarray], counts: np.ndarray
) -> np.ndarray:
    """As `average_precision`; `classes` are the positions of the detections of each."""
    weights = torch.from_numpy(np.ascontiguousarray(counts.T, dtype=np.float32))  # (N, B)
    shape = (len(AREAS), len(IOU_THRESHOLDS), len(classes), len(counts))
    result = np.full(shape, np.nan)
    for k, mine in enumerate(classes):
        image = torch.from_numpy(matches.image[mine])
        for a in range(len(AREAS)):
            objects = counts @ matches.object_counts[a, k]  # (B,)
            there = objects > 0
            if not there.any():
                continue
            needed = _needed(objects)
            for t in range(len(IOU_THRESHOLDS)):
                true, ignored = matches.true[a, t, mine], matches.ignored[a, t, mine]
                found = _of_class(image, true, ignored, weights, needed)
                result[a, t, k, there] = found[there]
    return result


def _of_class(
    image: Tensor, true: np.ndarray, ignored: np.ndarray, weights: Tensor, needed: Tensor
) -> np.ndarray:
    """(B,) of one class, size and IoU threshold.

    Args:
        image, true, ignored: (d,) of the detections, best first.
        weights: (N, B) how often each resample has each image.
        needed: (B, 101) hits, see `_needed`.
    """
    hits = np.flatnonzero(true)
    if not len(hits):
        return np.zeros(len(needed))
    # What comes after the last hit changes nothing. Between hits only the sums matter.
    counted = np.flatnonzero(~ignored[: hits[-1] + 1])
    offsets = torch.from_numpy(np.searchsorted(counted, np.append(0, hits[:-1] + 1)))
    seen = embedding_bag(image[counted], weights, offsets, mode="sum")  # (h, B)
    return _interpolated(_sums(weights[image[hits]]), _sums(seen), needed)


def _sums(values: Tensor) -> Tensor:
    """(h, B) -> (B, h) sums over all rows so far."""
    return values.T.contiguous().cumsum(dim=1, dtype=torch.float64)


def _needed(objects: np.ndarray) -> Tensor:
    """(B, 101) the fewest hits whose recall, as a float, is not below each of COCO's recalls.

    Args:
        objects: (B,) to find; where there is none, the result means nothing.
    """
    total = np.maximum(objects, 1)[:, None]
    needed = np.ceil(RECALLS * total)
    needed -= (needed - 1) / total >= RECALLS
    needed += needed / total < RECALLS
    return torch.from_numpy(needed)


def _interpolated(found: Tensor, seen: Tensor, needed: Tensor) -> np.ndarray:
    """COCO's mean of precision over 101 recalls, of B resamples.

    Args:
        found, seen: (B, h) hits, and detections that count, up to and with each hit.
        needed: (B, 101) hits for each recall.
    """
    precision = found.numpy() / (seen.numpy() + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    precision = np.pad(precision, ((0, 0), (0, 1)))  # a recall that is never reached
    place = torch.searchsorted(found, needed).numpy()
    return np.take_along_axis(precision, place, axis=1).mean(axis=1)
