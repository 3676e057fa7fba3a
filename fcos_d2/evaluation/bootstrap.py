"""How far a figure would move if other images had been drawn: resamples of the images of a set."""

from typing import NamedTuple

import numpy as np

RESAMPLES = 1000
SEED = 0


class Interval(NamedTuple):
    """Between which values a figure lies with a given probability."""

    low: float
    high: float


class Difference(NamedTuple):
    """Of a figure of two detectors on the same images.

    Attributes:
        value: the second less the first.
        interval: of the difference.
        p: probability of a difference as large or larger, either way, if both were equally good.
    """

    value: float
    interval: Interval
    p: float


def resample_counts(image_count: int, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """(B, N) how often each resample has each image; the same for the same numbers."""
    generator = np.random.default_rng(seed)
    return np.stack(
        [
            np.bincount(generator.integers(image_count, size=image_count), minlength=image_count)
            for _ in range(resamples)
        ]
    )


def interval(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """The percentiles that hold the middle `confidence` of a figure's resamples.

    Args:
        values: (B,); NaN where a resample has nothing to measure, which is left out.
    """
    there = values[np.isfinite(values)]
    if not len(there):
        return Interval(float("nan"), float("nan"))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(there, (tail, 100 - tail))
    return Interval(float(low), float(high))


def difference(
    first: float, second: float, firsts: np.ndarray, seconds: np.ndarray, confidence: float = 0.95
) -> Difference:
    """The difference of two detectors, whose resamples have the same images in the same order.

    Args:
        first, second: the figures of the set itself.
        firsts, seconds: (B,) of the resamples.
    """
    differences = seconds - firsts
    there = differences[np.isfinite(differences)]
    if not len(there):
        return Difference(second - first, interval(there), float("nan"))
    # One more on either side: no number of resamples shows that something is impossible.
    below = (1 + (there <= 0).sum()) / (1 + len(there))
    above = (1 + (there >= 0).sum()) / (1 + len(there))
    return Difference(
        second - first, interval(there, confidence), float(min(1, 2 * min(below, above)))
    )
