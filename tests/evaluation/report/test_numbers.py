"""The numbers of a report, by hand and beside pycocotools."""

import json
import math

import numpy as np
import pytest
from noisy_detector import detection_set, drawn_truth, noisy_results
from pycocotools_numbers import pycocotools_evaluation

from fcos_d2.evaluation.coco_boxes import coco_statistics, mean_percent
from fcos_d2.evaluation.report.errors import costliest_in_words
from fcos_d2.evaluation.report.numbers import plain, report_numbers
from fcos_d2.evaluation.results import DetectionSet

A, B, C, D = (0, 0, 10, 10), (50, 0, 10, 10), (100, 0, 10, 10), (300, 300, 10, 10)


def by_pycocotools(truth: dict, rows: list[dict]) -> tuple[dict, list[float]]:
    """COCO's statistics, and the AP of each class."""
    found = pycocotools_evaluation(truth, rows).eval
    precision = found["precision"]
    classes = [mean_percent(precision[:, :, k, 0, 2]) for k in range(precision.shape[2])]
    return coco_statistics(precision, found["recall"]), classes


def check_against_pycocotools(truth: dict, rows: list[dict]) -> None:
    numbers = report_numbers(DetectionSet(truth=truth, detections=rows), resamples=20)
    expected, classes = by_pycocotools(truth, rows)
    for name, figure in numbers["figures"].items():
        assert figure["value"] == pytest.approx(expected[name], abs=1e-9), name
        assert figure["low"] < figure["value"] + 5
        assert figure["high"] > figure["value"] - 5
    for row, ap in zip(numbers["classes"], classes, strict=True):
        value = row["figures"]["AP"]["value"]
        assert value == (None if math.isnan(ap) else pytest.approx(ap, abs=1e-9))
    assert numbers["tide"]["AP50"] == pytest.approx(expected["AP50"], abs=1e-9)
    json.dumps(numbers, allow_nan=False)


def test_figures_are_those_of_pycocotools():
    truth = drawn_truth(5, images=30)
    check_against_pycocotools(truth, noisy_results(truth, 5))


def test_figures_of_blood_cells_are_those_of_pycocotools(shared_dir):
    path = shared_dir / "data" / "bccd" / "coco" / "instances_val.json"
    truth = json.loads(path.read_text())
    check_against_pycocotools(truth, noisy_results(truth))


@pytest.fixture
def numbers():
    """Class a: two objects, found by 0.9 and by b's 0.8; b: one object, missed. A wrong a with 0.7,
    one on a crowd.
    """
    return report_numbers(
        detection_set(
            [(0, 0, A), (0, 0, B), (1, 1, C), (1, 0, (200, 200, 100, 100), True)],
            [
                (0, 0, A, 0.9),
                (0, 1, B, 0.8),
                (1, 0, D, 0.7),
                (1, 0, (210, 210, 20, 20), 0.6),
                (0, 0, (0, 0, 10, 11), 0.1),
            ],
            images=3,
        ),
        resamples=50,
        wanted=("f1", "recall=0.3", "miss=0.1"),
    )


def test_counts_by_hand(numbers):
    data = numbers["data"]
    assert (data["images"], data["boxes"], data["crowds"], data["detections"]) == (3, 3, 1, 5)
    assert data["images_without_boxes"] == 1
    assert data["images_without_detections"] == 1
    assert data["classes"] == ["a", "b"]
    first, second = numbers["classes"]
    assert (first["name"], first["detections"], first["figures"]["AP"]["boxes"]) == ("a", 4, 2)
    assert first["note"] == "2 boxes: the figure means little"
    assert second["note"] == "1 box: it means little"
    assert first["figures"]["AP"]["value"] == pytest.approx(100 * 51 / 101)
    assert second["figures"]["AP"]["value"] == 0


def test_thresholds_by_hand(numbers):
    f1, recall, miss = (x["overall"] for x in numbers["thresholds"]["choices"])
    # From 0.9: 1 right, 0 wrong of 3: F1 2/4; from 0.8: 2/5; so 0.9, and between 0.9 and 0.8.
    assert (f1["threshold"], f1["f1"]) == (pytest.approx(0.85), pytest.approx(0.5))
    assert numbers["threshold"] == f1["threshold"]
    assert recall["threshold"] == pytest.approx(0.85)
    assert miss["threshold"] is None
    assert miss["precision"] is None
    assert miss["reason"] == "2 images with objects are too few: a share of 0.1 needs 9"
    assert numbers["thresholds"]["curves"][1]["recall"] == [0]
    assert "exchangeable" in numbers["thresholds"]["guarantee"]


def test_calibration_by_hand(numbers):
    # The one on the crowd does not count.
    found = numbers["calibration"]
    assert found["detections"] == 4
    bins = {round(x["low"], 1): x for x in found["bins"] if x["detections"]}
    assert {low: (x["score"], x["precision"]) for low, x in bins.items()} == {
        0.1: (pytest.approx(0.1), 0),
        0.7: (pytest.approx(0.7), 0),
        0.8: (pytest.approx(0.8), 0),
        0.9: (pytest.approx(0.9), 1),
    }
    # Gaps 0.1, 0.7, 0.8 and 0.1 of a detection each.
    assert found["expected_error"] == pytest.approx(1.7 / 4)
    assert found["largest_error"] == pytest.approx(0.8)


def test_tide_by_hand(numbers):
    errors = {name: x["count"] for name, x in numbers["tide"]["errors"].items()}
    # b's 0.8 has the class wrong, a's 0.7 is on nothing, a's 0.1 a second on A; C is missed.
    assert errors == {"Cls": 1, "Loc": 0, "Both": 0, "Dupe": 1, "Bkg": 1, "Miss": 1}
    # With a's second object found at 0.8 and before every mistake: AP of a is 1, of b 0.
    assert numbers["tide"]["errors"]["Cls"]["cost"] == pytest.approx(50 - 50 * 51 / 101, abs=1e-6)


def test_the_costliest_kind_of_error_in_words():
    def words(**costs):
        return costliest_in_words({"errors": {name: {"cost": x} for name, x in costs.items()}})

    wrong_class = "found, as another class: without these, AP50 would be 74.5 higher"
    assert words(Cls=74.51, Loc=0.03, Miss=2.0) == wrong_class
    assert words(Cls=1.0, Miss=2.0).startswith("an object that no detection comes near: ")
    assert words(Cls=0.0, Loc=0.0) == ""
    assert words(Cls=0.02, Loc=0.0) == ""
    assert costliest_in_words({}) == ""  # there is no object to find


def test_images_from_worst_to_best(numbers):
    # At 0.85 image 1 finds nothing, image 0 one of two; image 2 has nothing to find.
    rows = numbers["images"]
    assert [x["id"] for x in rows] == [2, 1, 3]
    assert [(x["true"], x["wrong"], x["missed"]) for x in rows] == [(0, 0, 1), (1, 0, 1), (0, 0, 0)]
    assert [x["f1"] for x in rows] == [0, pytest.approx(2 / 3), 1]


def test_nothing_detected():
    numbers = report_numbers(detection_set([(0, 0, A)] * 2, []), resamples=5)
    assert numbers["figures"]["AP"]["value"] == 0
    assert numbers["threshold"] == 0.5
    assert numbers["confusion"]["matrix"] == [[0, 0, 2], [0, 0, 0], [0, 0, 0]]
    assert numbers["tide"]["errors"]["Miss"]["count"] == 2
    assert numbers["calibration"]["expected_error"] is None
    json.dumps(numbers, allow_nan=False)


def test_nothing_to_find():
    numbers = report_numbers(detection_set([], [(0, 0, A, 0.9)]), resamples=5)
    assert numbers["figures"]["AP"] == {
        "value": None,
        "low": None,
        "high": None,
        "boxes": 0,
        "images": 0,
    }
    assert numbers["tide"] == {}
    assert numbers["confusion"]["matrix"][2] == [1, 0, 0]
    json.dumps(numbers, allow_nan=False)


def test_the_origin_stands_in_the_report():
    origin = {"data": {"sha256": "abc"}, "model": {"weights": "w.pth"}}
    numbers = report_numbers(detection_set([(0, 0, A)], []), resamples=5, origin=origin)
    assert numbers["data"]["sha256"] == "abc"
    assert numbers["data"]["images"] == 1
    assert numbers["model"]["weights"] == "w.pth"
    assert numbers["speed"] is None


def test_plain_values():
    given = {1: np.float64(2.5), "x": (np.int64(3), float("nan"), np.array([1.0, np.inf]))}
    assert plain(given) == {"1": 2.5, "x": [3, None, [1.0, None]]}


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    rng = np.random.default_rng(0)
    found = [(0, 0, A, float(score)) for score in rng.random(900)]
    numbers = report_numbers(detection_set([(0, 0, A)], found), resamples=5)
    curve = numbers["thresholds"]["curve"]
    kept = sorted((x[3] for x in found), reverse=True)[:100]
    assert len(curve["score"]) <= 200
    assert curve["score"][0] == pytest.approx(kept[0])
    assert curve["score"][-1] == pytest.approx(kept[-1])
