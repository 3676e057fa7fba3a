"""Curves whose answer is known."""

import numpy as np
import pytest

from fcos_d2.engine.forecast import Gain, gain_of_doubling, started

TENTHS = np.arange(1, 11) / 10
COSINE = (1 + np.cos(np.pi * TENTHS)) / 2


def curve(t, a, b, c):
    return a - b * t**-c


def test_a_curve_without_noise():
    """20 - 20 / sqrt(2) = 5.86 points are left for the next doubling."""
    gain = gain_of_doubling(TENTHS, curve(TENTHS, 70.0, 20.0, 0.5), np.zeros(10))
    assert gain.low < 5.86 < gain.high
    assert gain.middle == pytest.approx(5.86, abs=1)
    assert gain.is_told


def test_the_unit_of_the_amounts_does_not_matter():
    values = curve(TENTHS, 70.0, 20.0, 0.5)
    assert gain_of_doubling(TENTHS * 5000, values) == gain_of_doubling(TENTHS, values)


def test_nothing_more_comes_of_a_flat_curve():
    noise = np.random.default_rng(0).normal(0, 0.2, 10)
    gain = gain_of_doubling(TENTHS, 60 + noise, COSINE)
    assert 0 <= gain.low <= gain.middle < 0.5 and gain.high < 1.5


def test_a_rise_that_only_the_learning_rate_makes():
    """Without its rate falling, the run would stand still: twice the time brings nothing."""
    noise = np.random.default_rng(0).normal(0, 0.3, 10)
    gain = gain_of_doubling(TENTHS, 60 - 10 * COSINE + noise, COSINE)
    assert gain.annealed > 0.5 and not gain.is_told
    blind = gain_of_doubling(TENTHS, 60 - 10 * COSINE + noise)
    assert blind.middle > 2 * gain.middle  # who does not know of the rate promises too much


def trial(random, noise):
    """A run of ten evaluations: its gain, and whether the interval holds the true one."""
    exponent = np.exp(random.uniform(np.log(0.2), np.log(1.5)))
    top, rise, lack = random.uniform(30, 80), random.uniform(2, 25), random.uniform(0, 10)
    values = curve(TENTHS, top, rise, exponent) - lack * COSINE + random.normal(0, noise, 10)
    values = values.clip(0)
    first = started(values)
    if len(values) - first < 4:
        return trial(random, noise)
    gain = gain_of_doubling(TENTHS[first:], values[first:], COSINE[first:])
    return gain.low <= rise * (1 - 2**-exponent) <= gain.high


@pytest.mark.parametrize("noise", [0.3, 0.8])
def test_the_interval_holds_the_truth_in_four_of_five_runs(noise):
    random = np.random.default_rng(1)
    held = sum(trial(random, noise) for _ in range(60))
    assert held >= 45


def test_three_trainings_on_parts_of_the_labels():
    random, parts, held = np.random.default_rng(2), np.array([0.25, 0.5, 1.0]), 0
    for _ in range(60):
        exponent = np.exp(random.uniform(np.log(0.2), np.log(1.5)))
        rise = random.uniform(2, 15)
        values = curve(parts, 60.0, rise, exponent) + random.normal(0, 1.0, 3)
        gain = gain_of_doubling(parts, values, noise=1.0)
        held += gain.low <= rise * (1 - 2**-exponent) <= gain.high
    assert held >= 45


def test_more_noise_is_less_certain():
    random, values = np.random.default_rng(0), curve(TENTHS, 70.0, 20.0, 0.5)
    narrow = gain_of_doubling(TENTHS, values)
    wide = gain_of_doubling(TENTHS, values + random.normal(0, 3.0, 10))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_where_a_curve_starts():
    assert started([0, 0, 3, 1, 20, 50]) == 4  # 3 and 1 are less than a tenth of 50
    assert started([30, 40]) == 0


def test_in_words():
    assert Gain(0.31, 1.24, 2.9).in_words() == "+1.2 (80 % interval +0.3 to +2.9)"
    assert not Gain(0.0, 5.0, 12.0).is_told


def test_too_few_points():
    with pytest.raises(ValueError, match="3 points or more, got 2"):
        gain_of_doubling([1, 2], [3, 4])
