"""Precision, recall and F1 over the score, and the threshold that gives what is wanted of them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .matches import Matches

IOU = 0.5  # from which an object counts as found
KINDS = ("f1", "precision", "recall", "miss")
_ALL, _AT = 0, 0  # of the area ranges, and of the IoU thresholds: that of IOU


class Wanted(NamedTuple):
    """What a threshold is to give, as in "f1", "precision=0.9", "recall=0.95", "miss=0.1"."""

    kind: str
    value: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Wanted":
        """Raises ValueError for anything else."""
        kind, equals, number = text.partition("=")
        if text == "f1":
            return cls("f1")
        if kind in KINDS[1:] and equals:
            try:
                value = float(number)
            except ValueError:
                value = -1.0
            if 0 < value < 1 or (value == 1 and kind != "miss"):
                return cls(kind, value)
        raise ValueError(
            f"a threshold is chosen by f1, precision=P, recall=R or miss=SHARE, with numbers "
            f"between 0 and 1, got {text!r}"
        )

    def __str__(self) -> str:
        return self.kind if self.value is None else f"{self.kind}={self.value:g}"


@dataclass(frozen=True)
class Curve:
    """Over the threshold, from high to low: what the S different scores would give.

    Attributes:
        score: (S,) falling; a threshold between the last kept and the next one gives the row.
        true, wrong: (S,) detections kept that find an object, and that do not.
        objects: to find.
    """

    score: np.ndarray
    true: np.ndarray
    wrong: np.ndarray
    objects: int

    @property
    def precision(self) -> np.ndarray:
        return self.true / (self.true + self.wrong)

    @property
    def recall(self) -> np.ndarray:
        """NaN where there is nothing to find."""
        return self.true / self.objects if self.objects else np.full(len(self.score), np.nan)

    @property
    def f1(self) -> np.ndarray:
        return 2 * self.true / (self.true + self.wrong + self.objects)

    def threshold(self, row: int) -> float:
        """One that keeps just the detections of a row, whether those equal to it stay or go."""
        score = float(self.score[row])
        if row + 1 == len(self.score):
            return score * (1 - 1e-5)  # lower scores, which a detector has cut off, are unknown
        return (score + float(self.score[row + 1])) / 2


@dataclass(frozen=True)
class Choice:
    """A threshold, and what it gave on the set.

    Attributes:
        threshold: keeps scores above it; None where none gives what is wanted.
        precision, recall, f1: at it; NaN without one, or where there is nothing to measure.
        reason: why there is none; "" where there is one.
    """

    threshold: float | None
    precision: float = float("nan")
    recall: float = float("nan")
    f1: float = float("nan")
    reason: str = ""


@dataclass(frozen=True)
class ThresholdChoice:
    """For all classes together, and for each by its name."""

    wanted: Wanted
    overall: Choice
    by_class: dict[str, Choice]


def curve(matches: Matches, label: int | None = None) -> Curve:
    """Of all classes together, or of one.

    Args:
        matches: of the set.
        label: index of the class.
    """
    counts = ~matches.ignored[_ALL, _AT]
    objects = matches.object_counts[_ALL]
    if label is not None:
        counts = counts & (matches.label == label)
        objects = objects[label]
    score, true = matches.score[counts], matches.true[_ALL, _AT, counts]
    last = np.flatnonzero(np.diff(score, append=-1))  # equal scores stay or go together
    found = np.cumsum(true)[last]
    return Curve(score[last], found, last + 1 - found, int(objects.sum()))


def choose(matches: Matches, wanted: Wanted | str) -> ThresholdChoice:
    """The threshold that gives what is wanted.

    f1: the highest F1. precision=P: the lowest threshold, so the most objects, with at least that
    precision. recall=R: the highest threshold with at least that recall. miss=A: see `miss_limit`.

    Raises:
        ValueError: a wish that is none.
    """
    wish = Wanted.parse(wanted) if isinstance(wanted, str) else wanted
    return ThresholdChoice(
        wish,
        _choose(matches, None, wish),
        {name: _choose(matches, k, wish) for k, name in enumerate(matches.class_names)},
    )


def working_threshold(matches: Matches) -> float:
    """The score from which detections count where one threshold is needed: that of the best F1."""
    best = _choose(matches, None, Wanted("f1")).threshold
    return 0.5 if best is None else best


def _choose(matches: Matches, label: int | None, wanted: Wanted) -> Choice:
    found = curve(matches, label)
    if not found.objects:
        return Choice(None, reason="there is no object to find")
    if not len(found.score):
        return Choice(None, reason="nothing was detected")
    row: int | None
    reason = ""
    if wanted.kind == "miss":
        assert wanted.value is not None, wanted
        row, reason = miss_limit(matches, label, wanted.value, found)
    else:
        row, reason = _row(found, wanted)
    if row is None:
        return Choice(None, reason=reason)
    return Choice(
        found.threshold(row),
        precision=float(found.precision[row]),
        recall=float(found.recall[row]),
        f1=float(found.f1[row]),
    )


def _row(found: Curve, wanted: Wanted) -> tuple[int | None, str]:
    if wanted.kind == "f1":
        row = int(found.f1.argmax())
        return (row, "") if found.f1[row] > 0 else (None, "no object is found")
    values = found.precision if wanted.kind == "precision" else found.recall
    enough = np.flatnonzero(values >= wanted.value)
    if not len(enough):
        return None, f"the highest {wanted.kind} is {values.max():.3f}"
    return int(enough[-1] if wanted.kind == "precision" else enough[0]), ""


def misses_by_image(
    matches: Matches, label: int | None, scores: np.ndarray
) -> tuple[np.ndarray, int]:
    """The mean over images of the share of their objects that is missed, at each score.

    Args:
        matches: of the set.
        label: index of the class; None for all of them.
        scores: (S,) falling; detections of at least this score are kept.

    Returns:
        (S,) in [0, 1], and n, the images that have objects; others have no share.
    """
    objects = matches.object_counts[_ALL]
    objects = objects.sum(axis=0) if label is None else objects[label]  # (N,)
    true = matches.true[_ALL, _AT]
    if label is not None:
        true = true & (matches.label == label)
    images = int((objects > 0).sum())
    gain = np.cumsum(1 / np.maximum(objects, 1)[matches.image[true]])
    kept = np.searchsorted(-matches.score[true], -scores, side="right")
    return 1 - np.concatenate(([0.0], gain))[kept] / max(images, 1), images


def miss_limit(
    matches: Matches, label: int | None, limit: float, found: Curve
) -> tuple[int | None, str]:
    """The row of the highest threshold at which a new image misses at most a share of its objects.

    Conformal risk control over images. With n images that have objects, and the mean share R that
    is missed in them, it is the highest threshold with n / (n + 1) * R + 1 / (n + 1) <= limit.
    If these images and a new one with objects are exchangeable, the share that is missed in the new
    one is at most `limit` on average, over draws of both.

    Args:
        matches: of the set.
        label: index of the class; None for all of them.
        limit: in (0, 1).
        found: their curve.

    Returns:
        The row, or None and why there is none.

    Source: Angelopoulos et al., "Conformal Risk Control", arXiv 2208.02814, theorem 1.
    """
    risk, n = misses_by_image(matches, label, found.score)
    bound = (n * risk + 1) / (n + 1)
    enough = np.flatnonzero(bound <= limit)
    if len(enough):
        return int(enough[0]), ""
    if 1 / (n + 1) > limit:
        needed = int(np.ceil(1 / limit - 1 - 1e-9))
        return None, f"{n} images with objects are too few: a share of {limit:g} needs {needed}"
    return None, f"with every detection kept, the bound is {bound.min():.3f}"
