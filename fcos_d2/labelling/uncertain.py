"""How much the labels of an image would teach: where the detector hesitates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import box_iou

from ..detections import ImageDetections

LOWEST = 0.05  # score of the boxes that are looked at
SAME = 0.5  # IoU of boxes of one object


@dataclass(frozen=True)
class Doubts:
    """What speaks for labelling an image, each in [0, 1].

    Attributes:
        margin: how near to the threshold scores are: half the nearest, half the mean.
        classes: the surest rival of a class, as share of the score that beats it.
        views: the share of the boxes that the image and its mirror image do not have in common.
    """

    margin: float
    classes: float
    views: float

    @property
    def total(self) -> float:
        """Their mean."""
        return (self.margin + self.classes + self.views) / 3


def doubts_of(
    found: ImageDetections, mirrored: ImageDetections, thresholds: np.ndarray
) -> tuple[Doubts, str]:
    """What speaks for labelling an image, and the same in words.

    Args:
        found: in the image, down to `LOWEST`.
        mirrored: in the mirror image, mirrored back.
        thresholds: score that makes a detection a label, by class, (K,).
    """
    positions = _candidates(found, thresholds)
    nearness = _nearness(found, positions, thresholds)
    rivals, pair = _rivals(found, thresholds)
    here, there = (_labels(x, thresholds) for x in (found, mirrored))
    doubts = Doubts(
        margin=float(0.5 * nearness.max() + 0.5 * nearness.mean()) if len(nearness) else 0.0,
        classes=rivals,
        views=_disagreement(here, there),
    )
    words = []
    if len(nearness) and nearness.max() >= 0.5:
        i = int(nearness.argmax())
        position = positions[i]
        words.append(
            f"{(nearness >= 0.5).sum()} near the threshold, such as "
            f"{found.class_names[position]} {found.scores[position]:.0%}"
        )
    if pair and rivals >= 0.5:
        words.append(f"{pair[0]} or {pair[1]}")
    if doubts.views >= 0.2:
        words.append(f"{len(here)} found, {len(there)} in the mirror image")
    return doubts, "; ".join(words) or "few doubts"


def mirror(found: ImageDetections, width: int) -> ImageDetections:
    """Detections of a mirror image `width` px wide, in the image."""
    x1, y1, x2, y2 = found.boxes.T
    boxes = np.stack([width - x2, y1, width - x1, y2], axis=1)
    return ImageDetections(boxes, found.scores, found.classes, found.class_names)


def spread(totals: Sequence[float], features: np.ndarray, count: int) -> list[int]:
    """The images to label first: each with many doubts, and unlike those before it.

    Farthest-point sampling, in which the distance to the nearest image that is chosen already,
    up to the usual one between images, is weighted by the doubts. So of near duplicates one comes
    early, and the others come last.

    Args:
        totals: doubts of each image, (N,).
        features: of each image, (N, F).
        count: how many are wanted.

    Returns:
        Their positions, in order; of equal ones the first.
    """
    values = np.asarray(totals, dtype=np.float64)
    features = _scaled(np.asarray(features, dtype=np.float64))
    usual = _usual_distance(features)
    apart = np.ones(len(values))  # 0: the same as one that is chosen; 1: as far as usual
    chosen: list[int] = []
    left = np.ones(len(values), bool)
    for _ in range(min(count, len(values))):
        worth = np.where(left, (values + 1e-9) * apart, -1.0)
        best = int(worth.argmax())
        chosen.append(best)
        left[best] = False
        if usual > 0:
            distances = np.linalg.norm(features - features[best], axis=1) / usual
            apart = np.minimum(apart, np.minimum(distances, 1.0))
    return chosen


def _scaled(features: np.ndarray) -> np.ndarray:
    """Each feature with mean 0 and deviation 1; a constant one tells nothing."""
    features = features - features.mean(axis=0)
    deviation = features.std(axis=0)
    return features / np.where(deviation > 1e-9, deviation, np.inf)


def _usual_distance(features: np.ndarray) -> float:
    """The median distance of the images from their mean, times the root of 2."""
    lengths = np.linalg.norm(features, axis=1)
    return float(np.median(lengths) * 2**0.5) if len(lengths) else 0.0


def _candidates(found: ImageDetections, thresholds: np.ndarray) -> np.ndarray:
    """Positions of the boxes that are labels, or nearly."""
    return np.flatnonzero(found.scores >= thresholds[found.classes] / 2)


def _nearness(found: ImageDetections, positions: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Of each candidate, from 1 at the threshold to 0 at its half, and at score 1."""
    scores = found.scores[positions].astype(np.float64)
    limits = thresholds[found.classes[positions]].astype(np.float64)
    room = np.where(scores < limits, limits / 2, 1 - limits)
    return 1 - np.abs(scores - limits) / np.maximum(room, 1e-9)


def _rivals(found: ImageDetections, thresholds: np.ndarray) -> tuple[float, tuple[str, str] | None]:
    """The strongest case of two classes for one object, and their names."""
    winners = np.flatnonzero(found.scores >= thresholds[found.classes])
    if not len(winners):
        return 0.0, None
    overlap = _iou(found.boxes[winners], found.boxes)
    other = found.classes[winners][:, None] != found.classes
    weaker = found.scores <= found.scores[winners][:, None]
    shares = found.scores / found.scores[winners][:, None] * (overlap >= SAME) * other * weaker
    if shares.max() <= 0:
        return 0.0, None
    i, j = np.unravel_index(int(shares.argmax()), shares.shape)
    return float(shares.max()), (found.class_names[winners[i]], found.class_names[j])


def _labels(found: ImageDetections, thresholds: np.ndarray) -> ImageDetections:
    kept = found.scores >= thresholds[found.classes]
    return ImageDetections(
        found.boxes[kept], found.scores[kept], found.classes[kept], found.class_names[kept]
    )


def _disagreement(here: ImageDetections, there: ImageDetections) -> float:
    """1 - the IoUs of matched boxes, over the mean number of boxes; 0 where both have none."""
    total = len(here) + len(there)
    if not total:
        return 0.0
    overlap = _iou(here.boxes, there.boxes) * (here.classes[:, None] == there.classes)
    agreed = 0.0
    while overlap.size and overlap.max() >= SAME:
        i, j = np.unravel_index(int(overlap.argmax()), overlap.shape)
        agreed += float(overlap[i, j])
        overlap[i], overlap[:, j] = 0, 0
    return 1 - 2 * agreed / total


def _iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(A, 4) and (B, 4), xyxy -> (A, B)."""
    return box_iou(torch.from_numpy(boxes), torch.from_numpy(others)).numpy()
