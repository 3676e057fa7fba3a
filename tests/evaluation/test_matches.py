"""Matches and average precision beside pycocotools."""

import json

import numpy as np
import pytest
from noisy_detector import detection_set, drawn_truth, noisy_results
from pycocotools.cocoeval import COCOeval
from pycocotools_numbers import pycocotools_evaluation

from fcos_d2.evaluation.coco import match_boxes
from fcos_d2.evaluation.matches import AREAS, RECALLS, average_precision, match
from fcos_d2.evaluation.results import DetectionSet


def precision_of(evaluation: COCOeval) -> np.ndarray:
    """(A, T, K) of pycocotools."""
    precision = evaluation.eval["precision"][..., 2]  # (T, R, K, A)
    mean = np.where(precision > -1, precision, np.nan).mean(axis=1)
    return mean.transpose(2, 0, 1)


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_pycocotools(seed):
    truth = drawn_truth(seed)
    rows = noisy_results(truth, seed)
    matches = match(DetectionSet(truth=truth, detections=rows))
    expected = precision_of(pycocotools_evaluation(truth, rows))
    assert np.isnan(expected[..., 3]).all()  # the class without a box
    assert (expected[0, 0, :3] > 0.2).all()
    np.testing.assert_allclose(average_precision(matches)[..., 0], expected, atol=1e-12)


def test_flags_are_those_of_pycocotools():
    truth = drawn_truth(7, images=20)
    rows = noisy_results(truth, 7)
    matches = match(DetectionSet(truth=truth, detections=rows))
    position = {row: d for d, row in enumerate(matches.row.tolist())}
    areas, seen = {tuple(bounds): a for a, bounds in enumerate(AREAS.values())}, 0
    for one in pycocotools_evaluation(truth, rows).evalImgs:
        if one is None or tuple(one["aRng"]) not in areas:
            continue
        a = areas[tuple(one["aRng"])]
        mine = [position[i - 1] for i in one["dtIds"]]  # loadRes counts from 1
        np.testing.assert_array_equal(matches.ignored[a][:, mine], one["dtIgnore"])
        found = one["dtMatches"] > 0
        np.testing.assert_array_equal(matches.true[a][:, mine], found & (one["dtIgnore"] == 0))
        if a == 0:
            np.testing.assert_array_equal(matches.object_of[:, mine] + 1, one["dtMatches"])
        seen += len(mine)
    assert seen == 4 * len(rows)
    assert matches.true.any(axis=(1, 2)).all()


def test_blood_cells_have_the_average_precision_of_pycocotools(shared_dir):
    path = shared_dir / "data" / "bccd" / "coco" / "instances_val.json"
    truth = json.loads(path.read_text())
    rows = noisy_results(truth)
    data = DetectionSet(truth=truth, detections=rows)
    found = average_precision(match(data))[..., 0]
    np.testing.assert_allclose(found, precision_of(pycocotools_evaluation(truth, rows)), atol=1e-12)
    precision, _ = match_boxes(data.coco, data.rows, [1, 10, 100], None)
    hotcoco = np.where(precision > -1, precision, np.nan)[..., 2].mean(axis=1)
    np.testing.assert_allclose(found, hotcoco.transpose(2, 0, 1), atol=1e-12)


def test_by_hand():
    # Two objects, one found at 0.9; a false detection at 0.8. Precision 1 up to recall 0.5: the
    # first 51 of the 101 recalls.
    data = detection_set(
        [(0, 0, (0, 0, 10, 10)), (0, 0, (50, 50, 10, 10))],
        [(0, 0, (0, 0, 10, 10), 0.9), (0, 0, (200, 200, 10, 10), 0.8)],
    )
    found = average_precision(match(data))[0, :, :, 0]
    np.testing.assert_allclose(found[:, 0], 51 / 101)
    assert np.isnan(found[:, 1]).all()  # class b has no object


def test_an_annotation_with_id_0_is_found():
    data = detection_set([(0, 0, (0, 0, 10, 10))], [(0, 0, (0, 0, 10, 10), 0.9)])
    assert average_precision(match(data))[0, 0, 0, 0] == pytest.approx(1)


def test_a_crowd_counts_neither_for_nor_against():
    objects = [(0, 0, (0, 0, 10, 10)), (0, 0, (100, 100, 200, 200), True)]
    on_crowd = [(0, 0, (110 + 20 * i, 110, 15, 15), 0.95) for i in range(5)]
    data = detection_set(objects, [(0, 0, (0, 0, 10, 10), 0.9), *on_crowd])
    matches = match(data)
    assert matches.ignored[0, 0].sum() == 5
    assert matches.object_counts[0].sum() == 1
    assert average_precision(matches)[0, 0, 0, 0] == pytest.approx(1)


def test_the_limit_keeps_the_best_of_a_class_in_each_image():
    found = [
        (i % 2, k, (9 * s, 0, 8, 8), s / 100) for i in range(2) for k in range(2) for s in range(9)
    ]
    matches = match(detection_set([(0, 0, (0, 0, 8, 8))], found, images=2), max_dets_per_image=3)
    assert sorted(matches.score.tolist()) == sorted([0.08, 0.07, 0.06] * 4)
    assert (np.diff(matches.score) <= 0).all()


def repeated(data: DetectionSet, counts: np.ndarray) -> DetectionSet:
    """The set in which each image stands as often as `counts` says."""
    truth = {"categories": data.truth["categories"], "images": [], "annotations": []}
    rows = []
    for image, count in zip(data.images, counts.tolist(), strict=True):
        for _ in range(count):
            new = len(truth["images"]) + 1
            truth["images"].append({**image, "id": new})
            for source, target in (
                (data.truth["annotations"], truth["annotations"]),
                (data.detections, rows),
            ):
                target += [{**x, "image_id": new} for x in source if x["image_id"] == image["id"]]
    for i, annotation in enumerate(truth["annotations"], start=1):
        annotation["id"] = i
    return DetectionSet(truth=truth, detections=rows)


def test_weights_are_copies_of_images():
    truth = drawn_truth(3, images=15)
    rng = np.random.default_rng(3)
    rows = noisy_results(truth, 3)
    for row in rows:  # no ties, whose order depends on the number of the image
        row["score"] = float(rng.random())
    data = DetectionSet(truth=truth, detections=rows)
    counts = np.stack([np.bincount(rng.integers(15, size=15), minlength=15) for _ in range(6)])
    found = average_precision(match(data), counts)
    for b, row in enumerate(counts):
        expected = average_precision(match(repeated(data, row)))[..., 0]
        np.testing.assert_allclose(found[..., b], expected, atol=1e-12)


def test_recalls_are_compared_as_floats():
    # 29 / 100 is below RECALLS[29] as pycocotools compares them or not: both must say the same.
    objects = [(0, 0, (20 * i, 0, 10, 10)) for i in range(20)]
    for hits in range(1, 21):
        found = [(0, 0, (20 * i, 0, 10, 10), 0.9 - i / 100) for i in range(hits)]
        data = detection_set(objects, found)
        expected = (hits / 20 >= RECALLS).mean()
        assert average_precision(match(data))[0, 0, 0, 0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("objects", "found"),
    [([], []), ([(0, 0, (0, 0, 9, 9))], []), ([], [(0, 0, (0, 0, 9, 9), 0.5)])],
)
def test_nothing_to_find_or_nothing_found(objects, found):
    precision = average_precision(match(detection_set(objects, found)), np.ones((3, 1), dtype=int))
    assert precision.shape == (4, 10, 2, 3)
    assert np.isnan(precision[0, :, 1]).all()
    np.testing.assert_array_equal(precision[0, :, 0], 0.0 if objects else np.nan)
