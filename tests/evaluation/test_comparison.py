import json
from collections import Counter

import pytest
from made_results import dropped, made_results, made_truth

from fcos_d2.evaluation.comparison import FIGURES, LEAST_IMAGES, compare
from fcos_d2.evaluation.results import DetectionSet, read_results


def boxes_in(images: int, label: int = 1, names: tuple[str, ...] = ("cat",)) -> dict:
    """Images with one box each, of 40 x 40 px."""
    return {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100}
            for i in range(1, images + 1)
        ],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": label,
                "bbox": [10, 10, 40, 40],
                "area": 1600,
                "iscrowd": 0,
            }
            for i in range(1, images + 1)
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(names, start=1)],
    }


def found_in(*images: int, label: int = 1, score: float = 0.9) -> list[dict]:
    row = {"category_id": label, "bbox": [10, 10, 40, 40], "score": score}
    return [{"image_id": i, **row} for i in images]


def compared(truth: dict, a: list[dict], b: list[dict], **options: object) -> tuple:
    first, second = (DetectionSet(truth=truth, detections=rows) for rows in (a, b))
    return compare(first, second, **options)


def test_by_hand() -> None:
    """A finds the one object of each of 20 images; B misses 5 of them, and finds 1 in nothing.

    B reaches a recall of 15 / 20, at precision 1 until the false detection, which scores least:
    76 of the 101 recalls are at or below 0.75, so AP is 7600 / 101.
    """
    truth = boxes_in(20)
    b = [*found_in(*range(6, 21)), *found_in(1, score=0.1)]
    b[-1]["bbox"] = [60, 60, 30, 30]
    result, verdict = compared(truth, found_in(*range(1, 21)), b)
    ap = result["figures"]["AP"]
    assert (ap["A"], ap["B"]) == pytest.approx((100, 7600 / 101))
    assert ap["difference"] == pytest.approx(7600 / 101 - 100)
    assert ap["low"] < ap["difference"] < ap["high"] <= 0
    assert (ap["boxes"], ap["images"], result["images"]) == (20, 20, 20)
    assert result["figures"]["APs"] == {
        **dict.fromkeys(("A", "B", "difference", "low", "high", "p", "p_beyond_tolerance")),
        "boxes": 0,
        "images": 0,
    }
    assert verdict.worse and "B is significantly worse: -24.75 AP" in verdict.text
    changed = result["changed_images"]
    assert [x["file_name"] for x in changed] == ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"]
    keys = ("A_true", "B_true", "A_wrong", "B_wrong", "A_missed", "B_missed", "change")
    assert [changed[1][key] for key in keys] == [1, 0, 0, 0, 0, 1, -1.0]


@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_equal_inputs_differ_by_exactly_nothing(tolerance: float) -> None:
    truth = made_truth(30)
    rows = made_results(truth)
    result, verdict = compared(truth, rows, [*rows], tolerance=tolerance, resamples=200)
    for row in (*result["figures"].values(), *result["classes"]):
        if row["A"] is not None:
            assert (row["difference"], row["low"], row["high"]) == (0, 0, 0)
        if row["p"] is not None:
            assert row["p"] == 1
    assert {x["outcome"] for x in result["classes"]} == {"same"}
    assert result["changed_images"] == [] and result["notes"] == []
    assert not verdict.worse and "no significant difference: +0.00 AP" in verdict.text
    json.dumps(result, allow_nan=False)


def test_a_twentieth_of_the_boxes_dropped_is_noticed() -> None:
    truth = made_truth(100)
    rows = made_results(truth)
    fewer = dropped(rows)
    result, verdict = compared(truth, rows, fewer, resamples=300)
    change = result["figures"]["AP"]["difference"]
    assert verdict.worse and change < 0
    # The other way round it is the same.
    back, better = compared(truth, fewer, rows, resamples=300)
    assert back["figures"]["AP"]["difference"] == -change
    assert not better.worse and "significantly better" in better.text
    # And what is allowed to be lost is not counted.
    for tolerance, worse in ((-change + 0.01, False), (-change / 100, True)):
        _, verdict = compared(truth, rows, fewer, tolerance=tolerance, resamples=300)
        assert verdict.worse == worse
    assert f"more than the tolerance of {tolerance:g}" in verdict.text


def test_two_equally_good_ones_are_seldom_told_apart() -> None:
    """Of 40 pairs 2 are expected; more than 7, or none near, has a chance of 1 in 1000."""
    smallest, significant = [], 0
    for seed in range(40):
        truth = made_truth(30, seed=seed)
        pair = (made_results(truth, seed=2 * seed + side) for side in (1000, 1001))
        result, _ = compared(truth, *pair, resamples=100)
        p = result["figures"]["AP"]["p"]
        significant += p < 0.05
        smallest.append(p)
    assert significant <= 7 and min(smallest) < 0.15


def test_the_class_that_lost_is_named() -> None:
    truth = made_truth(60)
    rows = made_results(truth)
    gone = [i for i, row in enumerate(rows) if row["category_id"] == 2][::2]
    result, _ = compared(truth, rows, [x for i, x in enumerate(rows) if i not in gone])
    assert [x["outcome"] for x in result["classes"]] == ["same", "lost", "same"]
    # Holm: the smallest of three p-values times 3.
    lost = result["classes"][1]
    assert lost["p_corrected"] == pytest.approx(3 * lost["p"])
    assert [x["p_corrected"] for x in result["classes"][::2]] == [1, 1]


def test_few_images_give_no_verdict() -> None:
    truth = boxes_in(LEAST_IMAGES - 1)
    _, verdict = compared(truth, found_in(*range(1, LEAST_IMAGES)), found_in(1))
    assert not verdict.worse and "no verdict: 9 images with objects are too few" in verdict.text
    truth = boxes_in(LEAST_IMAGES)
    _, verdict = compared(truth, found_in(*range(1, LEAST_IMAGES + 1)), found_in(1))
    assert verdict.worse
    assert set(FIGURES) == {"AP", "AP50", "AP75", "APs", "APm", "APl"}


def test_it_is_judged_by_the_figure_that_is_asked_for() -> None:
    """Boxes 6 px off: an IoU of 34 * 34 / (2 * 1600 - 34 * 34), 0.57, which AP50 does not mind."""
    truth = boxes_in(30)
    moved = found_in(*range(1, 31))
    for row in moved:
        row["bbox"] = [16, 16, 40, 40]
    _, by_ap = compared(truth, found_in(*range(1, 31)), moved)
    _, by_ap50 = compared(truth, found_in(*range(1, 31)), moved, figure="AP50")
    assert by_ap.worse and not by_ap50.worse
    assert "no significant difference: +0.00 AP50" in by_ap50.text


def test_what_looks_like_other_images_or_classes_is_noted() -> None:
    truth = boxes_in(20, names=("cat", "dog"))
    both = [*found_in(*range(1, 21)), *found_in(*range(1, 21), label=2)]
    result, _ = compared(truth, both, found_in(*range(1, 11)), names=("old", "new"))
    assert result["notes"] == [
        "new has no detection on 10 images where the other has some",
        "new has no detection of class dog",
    ]


def test_results_of_other_images_with_the_same_ids_are_noted() -> None:
    truth = made_truth(30)
    rows = made_results(made_truth(30, seed=5))
    result, verdict = compared(truth, rows, rows, resamples=100)
    assert result["notes"] == [
        "neither finds much, as if made on other images than the ground truth, with the same ids"
    ]
    assert not verdict.worse


def test_what_cannot_be_compared() -> None:
    truth = boxes_in(20)
    rows = found_in(*range(1, 21))
    for a, b, message in (
        (rows, [], "B: no detection at all"),
        ([], rows, "A: no detection at all"),
        (found_in(*range(1, 11)), found_in(*range(11, 21)), "made on different images"),
    ):
        with pytest.raises(ValueError, match=message):
            compared(truth, a, b)
    nothing = {**truth, "annotations": []}
    with pytest.raises(ValueError, match="no objects, so no average precision"):
        compared(nothing, rows, rows)
    with pytest.raises(ValueError, match="no images"):
        compared({**nothing, "images": []}, [], [])
    first = DetectionSet(truth=truth, detections=rows)
    other = DetectionSet(truth=boxes_in(20, names=("dog",)), detections=rows)
    with pytest.raises(ValueError, match="A and B were measured on different data"):
        compare(first, other)


def test_blood_cells(shared_dir, tmp_path) -> None:
    """Drawn boxes as detections: against themselves, and with a twentieth of them dropped."""
    truth = json.loads((shared_dir / "data/bccd/coco/instances_val.json").read_text())
    rows = made_results(truth, noise=3.0)
    counts = Counter(row["image_id"] for row in rows)
    assert len(counts) == len(truth["images"]) == 87
    (tmp_path / "results.json").write_text(json.dumps(rows))
    rows = read_results(tmp_path / "results.json", truth)
    result, verdict = compared(truth, rows, rows, resamples=300)
    assert result["figures"]["AP"]["difference"] == 0 and not verdict.worse
    _, verdict = compared(truth, rows, dropped(rows), resamples=300)
    assert verdict.worse
