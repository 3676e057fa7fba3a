"""How far a figure would move if other images had been drawn: resamples of the images of a set."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

RESAMPLES = 1000
SEED = 0
CONFIDENCE = 0.95  # of the intervals
_NORMAL = NormalDist()


class Interval(NamedTuple):
    """Between which values a figure lies with a given probability; NaN where it has none."""

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
    drawn = generator.integers(image_count, size=(resamples, image_count))
    return np.stack([np.bincount(row, minlength=image_count) for row in drawn])


def interval(value: float, resampled: np.ndarray, images: int) -> Interval:
    """Where a figure lies, by its resamples: the value less their bias, and Student's t times
    their deviation to both sides.

    Percentiles of the resamples hold the truth too seldom for AP: with 12 images in 83 to 90 of
    100 cases, with 72 in 91 to 95. For AP is biased on few images, in resamples once more, and
    resamples vary less than new sets would.

    Args:
        value: of the set itself.
        resampled: (B,); NaN where a resample has nothing to measure, which is left out.
        images: that have something to find.
    """
    centre, deviation = _spread(value, resampled, images)
    reach = deviation * _t_quantile(_NORMAL.inv_cdf(0.5 + CONFIDENCE / 2), max(images - 1, 1))
    return Interval(centre - reach, centre + reach)


def difference(
    first: float,
    second: float,
    firsts: np.ndarray,
    seconds: np.ndarray,
    images: int,
) -> Difference:
    """The difference of two detectors, whose resamples have the same images in the same order.

    Args:
        first, second: the figures of the set itself.
        firsts, seconds: (B,) of the resamples.
        images: that have something to find.
    """
    value, resampled = second - first, seconds - firsts
    if value == 0 and not np.nan_to_num(resampled).any():
        return Difference(0.0, Interval(0.0, 0.0), 1.0)
    centre, deviation = _spread(value, resampled, images)
    p = float("nan")
    if deviation > 0:  # else NaN, or the same difference in every resample
        p = 2 * _NORMAL.cdf(-_normal_quantile(abs(centre) / deviation, images - 1))
    elif deviation == 0:
        p = 0.0
    return Difference(value, interval(value, resampled, images), p)


def _spread(value: float, resampled: np.ndarray, images: int) -> tuple[float, float]:
    """A figure without its bias, and its standard deviation; NaN where resamples tell none."""
    there = resampled[np.isfinite(resampled)]
    if len(there) < 2 or not np.isfinite(value) or images < 2:
        return float("nan"), float("nan")
    deviation = there.std(ddof=1) * np.sqrt(images / (images - 1))  # as of a mean
    return float(2 * value - there.mean()), float(deviation)


def _t_quantile(normal: float, freedom: int) -> float:
    """The quantile of Student's t at the probability of a normal quantile >= 0.

    Source: Wallace 1959; within 1 % from 4 degrees of freedom on.
    """
    normal *= (8 * freedom + 3) / (8 * freedom + 1)
    return math.sqrt(freedom * math.expm1(normal**2 / freedom))


def _normal_quantile(t: float, freedom: int) -> float:
    """The inverse of `_t_quantile`."""
    normal = math.sqrt(freedom * math.log1p(t**2 / freedom))
    return normal * (8 * freedom + 1) / (8 * freedom + 3)
