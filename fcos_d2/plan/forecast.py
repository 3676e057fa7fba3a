"""What twice the time, or twice the labels, would likely bring: learning curves and their doubt.

The curve is a power law: after an amount t, the metric is a - b t^-c. Of a run's own evaluations it
is not the whole truth. They come at a learning rate that has not fallen yet, and a run that ended
there would have been better. So each is also allowed to lack d times the share of the learning
rate that it has before it. Where the fall of the rate explains the rise as well as time does, the
interval gets wide, and nothing is said.

All curves that fit are averaged, each by how well it does: a grid of exponents, and for each of
them the normal distribution of a, b, d that least squares give, without what cannot be (b or d
below 0, a above 100). Source for the power law: arXiv 1712.00409, section 3.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EXPONENTS = np.geomspace(0.1, 3.0, 25)
LEAST_POINTS = 4
COVERED = 0.8  # share of the cases in which the truth is in the interval
WIDEST = 8.0  # of an interval, in points of AP; beyond it nothing is told
STARTED = 0.1  # share of the best value
NOISE = 0.3  # least standard deviation of one evaluation, points of AP
RUN_NOISE = 1.0  # of trainings that differ in their labels, as of seeds
SAMPLES = 400  # of each exponent


@dataclass(frozen=True)
class Gain:
    """Points that a change is expected to add to a metric."""

    low: float
    middle: float
    high: float

    @property
    def is_told(self) -> bool:
        """Whether the interval is narrow enough to say something."""
        return self.high - self.low <= WIDEST

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
        amounts: above 0, rising: of time, or of labels.
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
    t, y, lack = (x[_on_the_curve(y) :] for x in (t, y, lack))
    gains, weights = [], []
    random = np.random.default_rng(0)
    for exponent in EXPONENTS:
        gain, weight = _possible_gains(t / t[-1], y, lack, exponent, noise, random)
        gains.append(gain)
        weights.append(weight)
    gain, weight = np.concatenate(gains), np.concatenate(weights)
    tail = (1 - COVERED) / 2
    return Gain(*_quantiles(gain, weight, (tail, 0.5, 1 - tail)))


def _on_the_curve(values: np.ndarray) -> int:
    """The first point after the last one that is next to nothing, where the law does not hold yet.

    There has to be enough of a model for more training to make it better.
    """
    started = values > STARTED * values.max()
    return len(values) - int(np.argmin(started[::-1]) if not started.all() else len(values))


def _possible_gains(
    t: np.ndarray,
    y: np.ndarray,
    lack: np.ndarray,
    exponent: float,
    noise: float,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Gains of curves of one exponent, and the weight of each."""
    columns = [np.ones_like(t), -(t**-exponent)]
    if lack.any():
        columns.append(-lack)
    design = np.stack(columns, axis=1)
    # A curve that starts at 0 has b near 100; without these bounds few points would say anything.
    prior = np.diag(np.array([1e-4, 1e-4, 1e-3][: len(columns)]))
    mean, sigma = np.zeros(len(columns)), noise
    for _ in range(3):  # the noise follows from the misfit, and the fit from the noise
        precision = design.T @ design / sigma**2 + prior
        mean = np.linalg.solve(precision, design.T @ y / sigma**2)
        spare = max(len(y) - len(columns), 1)
        sigma = max(noise, math.sqrt(float(((y - design @ mean) ** 2).sum()) / spare))
    drawn = random.multivariate_normal(mean, np.linalg.inv(precision), SAMPLES)
    possible = (drawn[:, 1:] >= 0).all(axis=1) & (drawn[:, 0] <= 100)
    misfit = ((y - design @ mean) ** 2).sum() / sigma**2 + mean @ prior @ mean
    # The evidence for this exponent (Laplace's formula, exact here), shared by its curves.
    _, volume = np.linalg.slogdet(precision)
    evidence = -0.5 * misfit - len(y) * math.log(sigma) - 0.5 * volume
    drawn = drawn[possible]
    return drawn[:, 1] * (1 - 2**-exponent), np.full(len(drawn), evidence)


def _quantiles(values: np.ndarray, log_weights: np.ndarray, shares: Sequence[float]) -> list[float]:
    if not len(values):  # nothing rises: more brings nothing
        return [0.0] * len(shares)
    order = np.argsort(values)
    weights = np.exp(log_weights - log_weights.max())[order].cumsum()
    return [float(values[order][np.searchsorted(weights, s * weights[-1])]) for s in shares]
