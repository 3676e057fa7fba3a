"""Each step, where it must be named by construction. The object is a cat of 24 x 24 px."""

import pytest
from hand_made import HandMade

from fcos_d2.evaluation.why import FOUND, MISSES, STEPS, explanation
from fcos_d2.evaluation.why.remedy import without_cause

OBJECT = (16, 16, 40, 40)
# Moved by 6 px its IoU with the object is 18 / 30 = 0.6, by 10 px 14 / 34 = 0.41; these two have
# 20 / 28 = 0.71 in common.
FITS, COVERS = (22, 16, 46, 40), (26, 16, 50, 40)
NARROW = (16, 16, 24, 40)  # IoU 1/3
FAR = (44, 44, 60, 60)
TWO = [OBJECT, OBJECT]

# Name: what is predicted, the step, keywords of `judge`, and the step without its cause.
CASES = {
    "found": (HandMade().put((3, 3), OBJECT, cat=0.9), FOUND, {}, None),
    "score threshold": (
        HandMade().put((3, 3), OBJECT, cat=0.03), "score threshold", {}, FOUND,
    ),
    "threshold of the class": (
        HandMade().put((3, 3), OBJECT, cat=0.3), "score threshold",
        {"min_scores": (0.6, 0.1, 0.1)}, FOUND,
    ),
    "threshold on both": (
        HandMade().put((3, 3), OBJECT, cat=0.3, quality=0.2), "score threshold",
        {"thresh_with_quality": True, "score_thresh": 0.25}, FOUND,
    ),
    "wrong class": (
        HandMade().put((3, 3), OBJECT, cat=0.03, dog=0.9), "wrong class", {}, FOUND,
    ),
    "bad box": (HandMade().put((2, 3), NARROW, cat=0.9), "bad box", {}, None),
    "bad box, and a good one that is not sure": (
        HandMade().put((2, 3), NARROW, cat=0.9).put((3, 3), OBJECT, cat=0.03), "bad box", {}, FOUND,
    ),
    "never proposed": (HandMade(), "never proposed", {}, None),
    "never proposed beside others": (
        HandMade().put((6, 6), FAR, cat=0.9), "never proposed", {}, None,
    ),
    "top-k": (
        HandMade().put((3, 3), OBJECT, cat=0.5).put((6, 6), FAR, dog=0.9), "top-k",
        {"topk_candidates": 1}, FOUND,
    ),
    "suppression": (
        HandMade().put((3, 3), FITS, cat=0.5).put((4, 3), COVERS, cat=0.9), "suppression",
        {}, FOUND,
    ),
    "suppression by another class": (
        HandMade().put((3, 3), FITS, cat=0.5).put((4, 3), COVERS, dog=0.9), "suppression",
        {"agnostic": 0.6}, FOUND,
    ),
    "cap": (
        HandMade().put((3, 3), OBJECT, cat=0.5).put((6, 6), FAR, dog=0.9), "cap",
        {"max_detections": 1}, FOUND,
    ),
    "merging": (
        HandMade(mirrored=True).put((3, 3), FITS, cat=0.5).put((3, 3), COVERS, view=1, cat=0.9),
        "merging", {}, None,
    ),
    "mean score": (
        HandMade(mirrored=True).put((3, 3), OBJECT, cat=0.5), "score threshold",
        {"mean_scores": (0.4, 0.4, 0.4)}, FOUND,
    ),
    "found in both views": (
        HandMade(mirrored=True).put((3, 3), OBJECT, cat=0.5).put((4, 3), OBJECT, view=1, cat=0.6),
        FOUND, {"mean_scores": (0.4, 0.4, 0.4)}, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("made", "step", "options", "after"), CASES.values(), ids=CASES)
def test_each_step_is_named_and_its_cause_is_the_cause(made, step, options, after):
    judge = made.judge([OBJECT], **options)
    verdict = judge.verdict(0)
    assert (verdict.step, judge.misses) == (step, [] if step == FOUND else [0])
    remedy = without_cause(judge, 0, verdict)
    assert (remedy.step if remedy else None) == after


def test_every_step_has_a_case():
    assert {case[1] for case in CASES.values()} | {"matched elsewhere"} == {*STEPS}
    assert {*MISSES} | {FOUND} == {*STEPS}


def test_a_detection_goes_to_one_of_two_objects():
    """The metric gives the only detection to the first; without that the second has it."""
    judge = HandMade().put((3, 3), OBJECT, cat=0.9).judge(TWO)
    verdicts = [judge.verdict(i) for i in range(2)]
    assert sorted(x.step for x in verdicts) == ["found", "matched elsewhere"]
    (missed,) = judge.misses
    assert (verdicts[missed].other, verdicts[missed].detection) == (1 - missed, 0)
    assert without_cause(judge, missed, verdicts[missed]).step == FOUND


def test_what_suppressed_it_is_told():
    judge = HandMade().put((3, 3), FITS, cat=0.5).put((4, 3), COVERS, cat=0.9).judge([OBJECT])
    covering = judge.verdict(0).covering
    assert (covering.location, covering.class_idx) == (3 * 8 + 4, 0)
    assert covering.score == pytest.approx(0.9**0.5) and covering.iou == pytest.approx(20 / 28)


def test_of_several_candidates_the_farthest_is_followed():
    """One falls at the threshold and one at the cap: it is the cap."""
    made = HandMade().put((3, 3), OBJECT, cat=0.03).put((3, 4), FITS, cat=0.3)
    judge = made.put((6, 6), FAR, dog=0.9).judge([OBJECT], max_detections=1)
    verdict = judge.verdict(0)
    assert (verdict.step, verdict.location, verdict.passed) == ("cap", 4 * 8 + 3, 3)


def test_a_cause_behind_a_cause_comes_next():
    """Above the lower threshold the candidate is suppressed."""
    judge = HandMade().put((3, 3), FITS, cat=0.03).put((4, 3), COVERS, cat=0.9).judge([OBJECT])
    verdict = judge.verdict(0)
    assert verdict.step == "bad box"  # what is there has an IoU of 0.41
    assert without_cause(judge, 0, verdict).step == "suppression"


def test_the_limit_of_the_metric_is_a_cap():
    """It counts one detection of a class, and the object's is the second."""
    made = HandMade().put((3, 3), OBJECT, cat=0.5).put((6, 6), FAR, cat=0.9)
    judge = made.judge([OBJECT]).changed(limit=1)
    verdict = judge.verdict(0)
    assert verdict.step == "cap"
    assert without_cause(judge, 0, verdict).step == FOUND


@pytest.mark.parametrize(("made", "step", "options", "_after"), CASES.values(), ids=CASES)
def test_the_text_names_the_numbers(made, step, options, _after):
    explained = explanation(made.judge([OBJECT], **options), 0, name="photo.jpg")
    assert explained.paragraph.startswith("The object at 16,16,40,40 of photo.jpg (cat) is 24 x 24")
    assert explained.step == step and len(explained.rows) == 8
    assert explained.as_dict()["rows"][0]["iou"] == explained.rows[0].iou


def test_the_paragraph_of_suppression():
    """In full, as a user reads it."""
    judge = HandMade().put((3, 3), FITS, cat=0.5).put((4, 3), COVERS, cat=0.9).judge([OBJECT])
    assert explanation(judge, 0).paragraph == (
        "The object at 16,16,40,40 (cat) is 24 x 24 px large, and 24 x 24 px at the network's "
        "input (64 x 64 px). In training 9 locations could learn it: 9 of p3 (stride 8 px). "
        "1 location has a box that fits it (IoU of at least 0.5); the one that goes farthest, on "
        "p3 at 28,28, gives cat 0.500, quality 1.00, score 0.707, and a box with IoU 0.60. It went "
        "in suppression: a surer detection of cat (score 0.949, at 26,16,50,40) covers it with IoU "
        "0.71, above the limit of 0.6. With the surer candidate that covers it gone it is found."
    )


def test_crowds_are_no_misses():
    judge = HandMade().judge([OBJECT])
    judge.objects.crowd[0] = True
    assert judge.misses == []
