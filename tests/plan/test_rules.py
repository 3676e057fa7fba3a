"""Each rule, on numbers whose answer is known."""

import numpy as np
import pytest

from fcos_d2.plan import rules


def affordable(seconds, per_megapixel=1.0):
    """Square images, and a batch that costs this many seconds a megapixel."""

    def largest(iterations):
        fits = [
            x for x in range(32, 1281, 32) if iterations * per_megapixel * x * x / 1e6 <= seconds
        ]
        return max(fits, default=32)

    return largest


@pytest.mark.parametrize(
    ("native", "smallest_tenth", "seconds", "expected"),
    [
        # 400 iterations at 1 s a megapixel in 100 s: sqrt(100 / 400 * 1e6) = 500, so 480.
        (1000, 0.05, 100, 480),
        # Objects of a tenth of the side have 64 px at 640, and no more are needed ...
        (1000, 0.1, 500, 640),
        # ... unless there is plenty of time: 1500 iterations in 2000 s fit at 1154.
        (1000, 0.1, 2000, 992),
        # No larger than the images.
        (320, 0.1, 1000, 320),
        # Small objects, 0.02: 10 px need 500 px, though 400 iterations in 40 s only fit at 316;
        # 140 fit at 534.
        (1000, 0.02, 40, 512),
        # There, in 20 s, 140 fit at 377.
        (1000, 0.02, 20, 352),
        # The least, though fewer iterations fit.
        (1000, 0.2, 1, 192),
        # Pictures of 64 px whose objects have 8 px are enlarged, to 16.
        (64, 0.125, 1000, 128),
        # And at most three times.
        (64, 0.01, 1000, 192),
    ],
)
def test_input_size(native, smallest_tenth, seconds, expected):
    size, reason = rules.input_size(native, smallest_tenth, affordable(seconds))
    assert size == expected
    assert f"{smallest_tenth * size:.0f} px there" in reason


def test_reasons_of_sizes():
    def reason(*arguments, seconds):
        return rules.input_size(*arguments, affordable(seconds))[1].split("px there")[1]

    assert reason(1000, 0.05, seconds=100) == "; larger, too few iterations would fit"
    assert reason(1000, 0.1, seconds=500) == "; more px would show little more"
    assert reason(320, 0.1, seconds=1000) == "; as large as the images"
    assert reason(1000, 0.02, seconds=40) == ", and needs them more than iterations"


def test_long_side():
    square = np.ones(20)
    assert rules.long_side(192, square) == 192
    assert rules.long_side(192, 4 / 3 * square) == 256
    assert rules.long_side(192, 30 * square) == 4 * 192
    # One long image among many does not make all others wait.
    assert rules.long_side(192, np.array([*square, 4.0])) == 192


def test_training_sizes():
    assert rules.training_sizes(256, epochs=10) == (256,)
    assert rules.training_sizes(256, epochs=100) == (224, 256, 288)


@pytest.mark.parametrize(
    ("smallest", "largest", "strides"),
    [(20, 200, [8, 16, 32]), (6, 50, [4, 8, 16, 32]), (20, 700, [8, 16, 32, 64])],
)
def test_strides(smallest, largest, strides):
    assert rules.strides_for(smallest, largest) == strides


def test_size_bounds():
    # Thirds of 1 to 300 are at 100 and 200, half of them at 50 and 100.
    assert rules.size_bounds(np.arange(1.0, 301), [8, 16, 32]) == [52, 100]
    # No level learns objects longer than 16 of its strides ...
    assert rules.size_bounds(np.full(9, 640.0), [8, 16, 32]) == [64, 128]
    # ... or shorter than two of them.
    assert rules.size_bounds(np.full(9, 4.0), [8, 16, 32]) == [16, 32]
    assert rules.size_bounds(np.full(9, 50.0), [8]) == []
    bounds = rules.size_bounds(np.full(9, 80.0), [4, 8, 16, 32])
    assert bounds == sorted(set(bounds))


def test_learning_rate():
    assert rules.learning_rate("imagenet", 8, "AdamW") == rules.RATES["imagenet"]
    assert rules.learning_rate("imagenet", 32, "AdamW") == 2 * rules.RATES["imagenet"]
    assert rules.learning_rate("imagenet", 32, "SGD") == 4 * rules.RATES["imagenet"]


@pytest.mark.parametrize("iterations", [1, 10, 300, 100_000])
def test_the_average_forgets_in_a_share_of_the_run(iterations):
    decay = rules.ema_decay(iterations)
    half_life = max(rules.EMA_HALF_LIFE * iterations, 1)
    assert 0 < decay < 1 and decay**half_life == pytest.approx(0.5, abs=0.01)
    assert 1 <= rules.warmup(iterations) <= max(iterations, 1)


def test_accumulation():
    # 70 of 100 bytes may be used.
    assert rules.accumulation(8, 70, 100) == 1
    assert rules.accumulation(8, 71, 100) == 2
    assert rules.accumulation(6, 200, 100) == 3
    assert rules.accumulation(7, 1000, 100) == 7  # one image at a time, whatever it takes
    assert rules.accumulation(1, 1000, 0) == 1


@pytest.mark.parametrize(("most", "kept"), [(0, 100), (66, 100), (67, 200), (1000, 1500)])
def test_detections(most, kept):
    assert rules.detections(most) == kept


def test_budgets():
    assert rules.default_budget(is_cpu=True) == 1200
    assert rules.timing_seconds(300) == 12 and rules.timing_seconds(3600) == 40
