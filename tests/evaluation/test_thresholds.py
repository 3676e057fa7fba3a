"""Precision, recall, F1 and thresholds by hand, and beside slow references."""

import numpy as np
import pytest
from noisy_detector import detection_set, drawn_truth, noisy_results
from simulated_sets import simulated

from fcos_d2.evaluation.matches import match
from fcos_d2.evaluation.results import DetectionSet
from fcos_d2.evaluation.thresholds import Wanted, choose, curve

A, B, C, NOWHERE = (0, 0, 10, 10), (50, 0, 10, 10), (100, 0, 10, 10), (300, 300, 10, 10)


@pytest.fixture
def few():
    """Three objects. From 0.9 on 1 is right, 0.8: 1 wrong, 0.6: 2 right, 0.4: 3, 0.2: 2 wrong."""
    return match(
        detection_set(
            [(0, 0, A), (0, 0, B), (1, 0, C)],
            [
                (0, 0, A, 0.9),
                (0, 0, NOWHERE, 0.8),
                (0, 0, B, 0.6),
                (1, 0, C, 0.4),
                (1, 0, NOWHERE, 0.2),
            ],
            images=2,
        )
    )


def test_the_curve_by_hand(few):
    found = curve(few)
    np.testing.assert_allclose(found.score, [0.9, 0.8, 0.6, 0.4, 0.2])
    np.testing.assert_allclose(found.precision, [1, 1 / 2, 2 / 3, 3 / 4, 3 / 5])
    np.testing.assert_allclose(found.recall, [1 / 3, 1 / 3, 2 / 3, 1, 1])
    np.testing.assert_allclose(found.f1, [1 / 2, 2 / 5, 2 / 3, 6 / 7, 3 / 4])


@pytest.mark.parametrize(
    ("wanted", "threshold", "precision", "recall"),
    [
        ("f1", 0.3, 3 / 4, 1),  # between 0.4, which is kept, and 0.2
        ("precision=0.75", 0.3, 3 / 4, 1),  # the lowest, though 0.8 has a precision of 0.5
        ("precision=0.9", 0.85, 1, 1 / 3),
        ("recall=0.6", 0.5, 2 / 3, 2 / 3),
        ("recall=1", 0.3, 3 / 4, 1),
        ("precision=0.6", 0.2 * (1 - 1e-5), 3 / 5, 1),  # below all of them: nothing is known there
    ],
)
def test_thresholds_by_hand(few, wanted, threshold, precision, recall):
    found = choose(few, wanted)
    assert found.overall.threshold == pytest.approx(threshold, abs=1e-12)
    assert found.overall.precision == pytest.approx(precision)
    assert found.overall.recall == pytest.approx(recall)
    assert found.by_class["a"] == found.overall
    assert found.by_class["b"].threshold is None
    assert found.by_class["b"].reason == "there is no object to find"


def test_equal_scores_stay_or_go_together():
    objects = [(0, 0, A), (0, 0, B)]
    found = [(0, 0, A, 0.5), (0, 0, NOWHERE, 0.5), (0, 0, B, 0.3)]
    points = curve(match(detection_set(objects, found)))
    np.testing.assert_allclose(points.score, [0.5, 0.3])
    np.testing.assert_allclose(points.precision, [1 / 2, 2 / 3])


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ("precision=0.9", "the highest precision is 0.500"),
        ("recall=0.9", "the highest recall is 0.500"),
    ],
)
def test_what_no_threshold_gives(wanted, reason):
    objects = [(0, 0, A), (0, 0, B)]
    matches = match(detection_set(objects, [(0, 0, NOWHERE, 0.9), (0, 0, A, 0.5)]))
    assert choose(matches, wanted).overall.threshold is None
    assert choose(matches, wanted).overall.reason == reason


def test_nothing_detected():
    found = choose(match(detection_set([(0, 0, A)], [])), "f1").overall
    assert (found.threshold, found.reason) == (None, "nothing was detected")


def test_only_wrong_detections_have_no_best_f1():
    found = choose(match(detection_set([(0, 0, A)], [(0, 0, NOWHERE, 0.9)])), "f1").overall
    assert (found.threshold, found.reason) == (None, "no object is found")


@pytest.mark.parametrize(
    "text", ["", "F1", "f1=0.5", "precision", "recall=", "recall=2", "recall=nan", "miss=1"]
)
def test_a_wish_that_is_none(text):
    with pytest.raises(ValueError, match="a threshold is chosen by f1, precision=P"):
        Wanted.parse(text)


@pytest.mark.parametrize("text", ["f1", "precision=0.9", "recall=1", "miss=0.05"])
def test_a_wish_is_written_as_it_is_read(text):
    assert str(Wanted.parse(text)) == text


def counted(data: DetectionSet, matches, threshold: float) -> tuple[float, float, float]:
    """Precision, recall and F1 of a new matching of the detections above a threshold."""
    kept = [row for row in data.detections if row["score"] > threshold]
    again = match(DetectionSet(truth=data.truth, detections=kept))
    right = int(again.true[0, 0].sum())
    everything = int((~again.ignored[0, 0]).sum())
    objects = int(again.object_counts[0].sum())
    return right / everything, right / objects, 2 * right / (everything + objects)


@pytest.mark.parametrize("wanted", ["f1", "precision=0.7", "recall=0.6", "miss=0.3"])
def test_a_threshold_gives_what_it_says_when_it_is_applied(wanted):
    truth = drawn_truth(2, images=40)
    data = DetectionSet(truth=truth, detections=noisy_results(truth, 2, good=0.95))
    matches = match(data)
    found = choose(matches, wanted).overall
    got = counted(data, matches, found.threshold)
    np.testing.assert_allclose((found.precision, found.recall, found.f1), got)
    scores = sorted({row["score"] for row in data.detections})
    others = [counted(data, matches, score - 1e-9) for score in scores]
    if wanted == "f1":
        assert found.f1 == pytest.approx(max(f1 for _, _, f1 in others))
    if wanted == "precision=0.7":
        assert found.recall == pytest.approx(max(r for p, r, _ in others if p >= 0.7))
    if wanted == "recall=0.6":
        higher = [r for s, (_, r, _) in zip(scores, others, strict=True) if s > found.threshold]
        assert sorted(higher)[-1] >= 0.6
        assert all(r < 0.6 for r in higher if r != max(higher))


def test_the_conformal_threshold_by_hand():
    # Ten images with an object each; images 0 to 8 find it with 0.9 to 0.1, the last never. Keeping
    # down to 0.1 misses 1 of 10: (10 * 0.1 + 1) / 11 = 0.18; down to 0.2: (2 + 1) / 11 = 0.27.
    objects = [(i, 0, A) for i in range(10)]
    found = [(i, 0, A, 0.9 - 0.1 * i) for i in range(9)]
    matches = match(detection_set(objects, found, images=12))  # two images have no object
    assert choose(matches, "miss=0.28").overall.threshold == pytest.approx(0.15)
    assert choose(matches, "miss=0.27").overall.threshold == pytest.approx(0.1, rel=1e-4)
    assert choose(matches, "miss=0.15").overall.reason == (
        "with every detection kept, the bound is 0.182"
    )
    few = choose(matches, "miss=0.05").overall.reason
    assert few == "10 images with objects are too few: a share of 0.05 needs 19"


def test_an_image_counts_by_the_share_that_it_misses():
    # One image misses half of its objects, nine find their only one: the mean is 0.05, while 1 of
    # 11 objects is missed. (10 * 0.05 + 1) / 11 = 0.136.
    objects = [(0, 0, A), (0, 0, B), *((i, 0, A) for i in range(1, 10))]
    matches = match(detection_set(objects, [(i, 0, A, 0.8) for i in range(10)], images=10))
    assert choose(matches, "miss=0.137").overall.threshold is not None
    assert choose(matches, "miss=0.135").overall.reason.endswith("the bound is 0.136")


def test_new_images_miss_no_more_on_average_than_was_asked_for():
    risks = []
    new = simulated(4000, 999, 1)
    images = new.object_counts[0].sum(axis=0)
    for seed in range(150):
        threshold = choose(simulated(40, seed, 1), "miss=0.4").overall.threshold
        hits = new.image[new.true[0, 0] & (new.score > threshold)]
        share = 1 - np.bincount(hits, minlength=4000)[images > 0] / images[images > 0]
        risks.append(share.mean())
    error = np.std(risks) / len(risks) ** 0.5
    assert np.mean(risks) <= 0.4 + 2 * error
    assert np.mean(risks) >= 0.3  # and no threshold is so low that it says nothing
