"""What twice the time, or twice the labels, would likely bring: learning curves and their doubt.

The curve is a power law: after an amount t, the metric is a - b t^-c. Of a run's own evaluations it
is not the whole truth. They come at a learning rate that has not fallen yet, and a run that ended
there would have been better. So each is also allowed to lack d times the share of the learning
rate that it has before it. Where the fall of the rate explains most of the rise, or the interval
gets too wide, nothing is said.

All curves that fit are averaged, each by how well it does: a grid of exponents, and for each of
them the normal distribution of a, b, d that least squares give, without what cannot be (b or d
below 0, a above 100). Source for the power law: arXiv 1712.00409.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EXPONENTS = np.geomspace(0.1, 3.0, 17)
LEAST_POINTS = 4
COVERED = 0.8  # share of the cases in which the truth is in the interval
WIDEST = 8.0  # of an interval, in points of AP; beyond it nothing is told
STARTED = 0.1  # share of the best value
NOISE = 0.3  # least standard deviation of one evaluation, points of AP
RUN_NOISE = 1.0  # of trainings that differ in their labels, as of seeds
SAMPLES = 200  # of each exponent
MOST_ANNEALED = (
    0.5  # share of the rise that came with the fall of the rate; beyond, nothing is told
)


@dataclass(frozen=True)
class Gain:
    """Points that a change is expected to add to a metric."""

    low: float
    middle: float
    high: float
    annealed: float = 0.0  # share of the rise so far that came with the fall of the learning rate

    @property
    def is_told(self) -> bool:
        """Whether the interval is narrow enough, and about time, to say something."""
        return self.high - self.low <= WIDEST and self.annealed <= MOST_ANNEALED

    def doubt(self) -> str:
        """Why nothing is told."""
        if self.annealed > MOST_ANNEALED:
            return "most of the rise so far came with the fall of the learning rate"
        return f"the curve allows for {self.low:+.1f} to {self.high:+.1f}"

    def in_words(self) -> str:
        """Such as "+1.2 (80 % interval +0.3 to +2.9)"."""
        interval = f"{self.low:+.1f} to {self.high:+.1f}"
        return f"{self.middle:+.1f} ({COVERED:.0%} interval {interval})".replace("%", " %")


def gain_of_doubling(
    amounts: Sequence[float],
    values: Sequence[float],
    rates: Sequence[float] | None = None,
    noise: float = NOISE,
) -> Gain:
    """What twice the last amount would add to the end of the curve.

    Args:
        amounts: above 0, rising: of time, or of labels; those from `started` on.
        values: of the metric in percent, one for each amount.
        rates: learning rates at that time, as shares of the largest, in [0, 1]; None: all are 0,
            as at the ends of runs of their own.
        noise: least standard deviation of a value.

    Raises:
        ValueError: fewer than 3 points, or not as many of each.
    """
    t = np.asarray(amounts, float)
    y = np.asarray(values, float)
    lack = np.zeros_like(t) if rates is None else np.asarray(rates, float)
    if not len(t) == len(y) == len(lack) or len(t) < 3:
        raise ValueError(f"a curve needs 3 points or more, got {len(t)}, {len(y)} and {len(lack)}")
    random = np.random.default_rng(0)
    possible = [_curves(t / t[-1], y, lack, x, noise, random) for x in EXPONENTS]
    gain, drop, weight = (np.concatenate(x) for x in zip(*possible, strict=True))
    tail = (1 - COVERED) / 2
    rise = y[-1] - y[0]
    # A rise within the noise has no cause.
    of_rate = 0.0 if rise < 3 * noise else _quantiles(drop, weight, (0.5,))[0] / rise
    low, middle, high = _quantiles(gain, weight, (tail, 0.5, 1 - tail))
    return Gain(low, middle, high, of_rate)


def started(values: Sequence[float]) -> int:
    """The first point after those that are next to nothing, to which the law does not apply."""
    low = [i for i, value in enumerate(values) if value <= STARTED * max(values)]
    return low[-1] + 1 if low else 0


def _curves(
    t: np.ndarray,
    y: np.ndarray,
    lack: np.ndarray,
    exponent: float,
    noise: float,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of curves of one exponent: the gain, what the fall of the rate brought, the log weight."""
    columns = [np.ones_like(t), -(t**-exponent)]
    if lack.any():
        columns.append(-lack)
    design = np.stack(columns, axis=1)
    # A curve that starts at 0 has b near 100; without these bounds few points would say anything.
    prior = np.diag(np.array([1e-4, 1e-4, 1e-2][: len(columns)]))
    mean, sigma = np.zeros(len(columns)), noise
    for _ in range(3):  # the noise follows from the misfit, and the fit from the noise
        precision = design.T @ design / sigma**2 + prior
        mean = np.linalg.solve(precision, design.T @ y / sigma**2)
        spare = max(len(y) - len(columns), 1)
        sigma = max(noise, math.sqrt(float(((y - design @ mean) ** 2).sum()) / spare))
    spread = np.linalg.cholesky(np.linalg.inv(precision))
    drawn = mean + random.standard_normal((SAMPLES, len(mean))) @ spread.T
    possible = (drawn[:, 1:] >= 0).all(axis=1) & (drawn[:, 0] <= 100)
    misfit = ((y - design @ mean) ** 2).sum() / sigma**2 + mean @ prior @ mean
    # The evidence for this exponent (Laplace's formula, exact here), shared by its curves.
    _, volume = np.linalg.slogdet(precision)
    evidence = -0.5 * misfit - len(y) * math.log(sigma) - 0.5 * volume
    drawn = drawn[possible]
    drop = drawn[:, 2] * (lack[0] - lack[-1]) if lack.any() else np.zeros(len(drawn))
    return drawn[:, 1] * (1 - 2**-exponent), drop, np.full(len(drawn), evidence)


def _quantiles(values: np.ndarray, log_weights: np.ndarray, shares: Sequence[float]) -> list[float]:
    if not len(values):  # nothing rises: more brings nothing
        return [0.0] * len(shares)
    order = np.argsort(values)
    weights = np.exp(log_weights - log_weights.max())[order].cumsum()
    return [float(values[order][np.searchsorted(weights, s * weights[-1])]) for s in shares]
