"""Intervals and differences on known data."""

import numpy as np
import pytest
from noisy_detector import drawn_truth, noisy_results
from simulated_sets import simulated

from fcos_d2.evaluation.bootstrap import difference, interval, resample_counts
from fcos_d2.evaluation.matches import average_precision, match
from fcos_d2.evaluation.report.figures import mean_figure
from fcos_d2.evaluation.results import DetectionSet

MANY = 20_000  # images, on which a figure is taken to be the true one


def test_resamples_have_as_many_images_as_the_set_and_follow_the_seed():
    counts = resample_counts(30, resamples=50, seed=3)
    assert counts.shape == (50, 30)
    assert (counts.sum(axis=1) == 30).all()
    np.testing.assert_array_equal(counts, resample_counts(30, resamples=50, seed=3))
    assert (counts != resample_counts(30, resamples=50, seed=4)).any()


def test_the_interval_of_a_mean_is_that_of_students_t():
    # The mean of 12 numbers: mean +- t * s / sqrt(12), and t of 11 degrees of freedom is 2.201.
    values = np.arange(12.0) ** 1.5
    resampled = resample_counts(12, 100_000) @ values / 12
    found = interval(values.mean(), resampled, 12)
    reach = 2.20099 * values.std(ddof=1) / 12**0.5
    np.testing.assert_allclose(found, (values.mean() - reach, values.mean() + reach), rtol=5e-3)


def test_what_cannot_be_told_is_no_number():
    nothing = np.full(10, np.nan)
    assert np.isnan(interval(50.0, nothing, 10)).all()
    assert np.isnan(interval(float("nan"), np.ones(10), 10)).all()
    assert np.isnan(interval(50.0, np.ones(10), 1)).all()
    assert np.isnan(difference(50.0, 51.0, nothing, np.ones(10), 10).p)


def test_equal_detectors_differ_by_exactly_0():
    truth = drawn_truth(1)
    data = DetectionSet(truth=truth, detections=noisy_results(truth))
    counts = resample_counts(12, 100)
    a, b = (average_precision(match(data), counts) for _ in range(2))
    value = float(mean_figure(average_precision(match(data)), "AP")[0])
    found = difference(value, value, mean_figure(a, "AP"), mean_figure(b, "AP"), 12)
    assert (found.value, *found.interval, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_p_is_below_a_level_where_the_interval_leaves_out_0():
    resampled = np.random.default_rng(0).normal(2.0, 1.0, 2000)
    for first in np.linspace(-2, 6, 41):
        found = difference(first, 2.0, np.full(2000, first), resampled, 30)
        low, high = found.interval
        assert (found.p < 0.05) == (not low <= 0 <= high), found
    assert difference(2.0, 2.0, np.full(2000, 2.0), resampled, 30).p > 0.5


def coverage(name: str, images: int, sets: int, resamples: int, thresholds: int) -> float:
    """The share of simulated sets whose interval holds the true figure."""
    truth = average_precision(simulated(MANY, 12345, thresholds))
    true, hits = float(mean_figure(truth, name)[0]), 0
    for seed in range(sets):
        matches = simulated(images, seed, thresholds)
        counts = resample_counts(images, resamples, seed)
        value = float(mean_figure(average_precision(matches), name)[0])
        resampled = mean_figure(average_precision(matches, counts), name)
        found = interval(value, resampled, int((matches.object_counts[0].sum(axis=0) > 0).sum()))
        hits += found.low <= true <= found.high
    return hits / sets


def test_intervals_hold_the_truth_in_95_of_100_sets():
    assert 0.90 <= coverage("AP50", images=40, sets=200, resamples=100, thresholds=1) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("images", [12, 72, 300])
@pytest.mark.parametrize("name", ["AP", "AP75"])
def test_intervals_of_few_and_many_images_hold_the_truth(name, images):
    assert 0.90 <= coverage(name, images, sets=300, resamples=300, thresholds=10) <= 0.98


def share_of_differences(images: int, pairs: int, resamples: int) -> float:
    """How often two equally good detectors differ "significantly" on the same images."""
    significant = 0
    for seed in range(pairs):
        counts = resample_counts(images, resamples, seed)
        both = [simulated(images, seed, 1, detector=d) for d in range(2)]
        np.testing.assert_array_equal(both[0].object_counts, both[1].object_counts)
        values = [float(mean_figure(average_precision(m), "AP50")[0]) for m in both]
        resampled = [mean_figure(average_precision(m, counts), "AP50") for m in both]
        significant += difference(*values, *resampled, images).p < 0.05
    return significant / pairs


def test_equally_good_detectors_seldom_differ_significantly():
    assert 0.01 <= share_of_differences(images=40, pairs=200, resamples=100) <= 0.09


def test_a_worse_detector_is_told_from_a_better_one():
    counts = resample_counts(60, 200)
    both = [simulated(60, 5, 1, detector=d, recall=r) for d, r in enumerate((1.0, 0.8))]
    values = [float(mean_figure(average_precision(m), "AP50")[0]) for m in both]
    resampled = [mean_figure(average_precision(m, counts), "AP50") for m in both]
    found = difference(*values, *resampled, 60)
    assert found.value < 0
    assert found.interval.high < 0
    assert found.p < 0.01
