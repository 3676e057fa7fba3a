"""One object from a picture and a box, and what is wrong with a question."""

import cv2
import numpy as np
import pytest
import torch
from hand_made import HandMade
from torchvision.ops import box_iou

from fcos_d2.evaluation.why import explain, explanation
from fcos_d2.evaluation.why.learned import who_learns
from fcos_deploy.vision import ImageError

OBJECT = (16, 16, 40, 40)


def test_a_detection_is_found(predictor, picture):
    found = predictor(picture)
    box = found.pred_boxes.tensor[0].tolist()
    name = predictor.class_names[int(found.pred_classes[0])]
    explained = explain(predictor, picture, box, name, name="noise.png")
    assert (explained.step, explained.class_name) == ("found", name)
    assert explained.rows[0].score == pytest.approx(float(found.scores[0]), abs=1e-6)
    assert explained.rows[0].iou == pytest.approx(1, abs=1e-4)
    assert (explained.image_size, explained.input_size) == ((60, 100), (64, 107))


def test_without_a_class_the_best_is_taken(predictor, picture):
    found = predictor(picture)
    explained = explain(predictor, picture, found.pred_boxes.tensor[0].tolist())
    assert explained.step == "found" and "no class was given" in explained.paragraph


def test_where_nothing_fits_the_class_is_that_of_the_nearest_detection(predictor, picture):
    """The first class is not it: slivers within detections of the second class."""
    found = predictor(picture)
    boxes = found.pred_boxes.tensor
    slivers = torch.stack((boxes[:, 0], boxes[:, 1], boxes[:, 0] + 2, boxes[:, 3]), dim=1)
    overlaps = box_iou(slivers, boxes)
    first, second = (overlaps[:, found.pred_classes == k].amax(dim=1) for k in (0, 1))
    sliver = slivers[second > first + 0.01][0].tolist()
    explained = explain(predictor, picture, sliver)
    assert explained.step in ("never proposed", "bad box", "wrong class")
    assert explained.class_name == predictor.class_names[1]


@pytest.mark.parametrize(
    ("box", "class_name", "message"),
    [
        ((10, 10, 5, 20), None, "box 10,10,5,20 has no area: x2 must be above x1"),
        ((10, 20, 15, 20), None, "has no area"),
        ((100, 10, 120, 20), None, "lies outside the image, which is 100 x 60 px"),
        ((-9, 10, 0, 20), None, "lies outside"),
        ((1, 2, 3), None, "four numbers"),
        ((1, 2, 3, float("nan")), None, "four numbers"),
        ((10, 10, 20, 20), "cow", "class 'cow' is unknown to the detector.* cat, dog"),
    ],
)
def test_wrong_questions(predictor, picture, box, class_name, message):
    with pytest.raises(ValueError, match=message):
        explain(predictor, picture, box, class_name)


def test_a_box_may_reach_over_the_border(predictor, picture):
    assert explain(predictor, picture, (80, 40, 105, 61), "cat").box == (80, 40, 105, 61)


def test_an_unreadable_image(predictor, tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"none")
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        explain(predictor, path, (1, 1, 9, 9))


def test_the_size_at_the_input_and_the_box_there(predictor, picture):
    explained = explain(predictor, picture, (10, 10, 40, 40), "cat")
    # 60 px become 64, and 100 px 107.
    wanted = np.array([10 * 1.07, 10 * 64 / 60, 40 * 1.07, 40 * 64 / 60])
    np.testing.assert_allclose(explained.input_box, wanted, rtol=1e-6)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_picture_has_three_panels(mirrored):
    """The object's location is the brightest cell of the map, in its place in the mirrored view
    as well.
    """
    made = HandMade(mirrored=mirrored).put((3, 3), OBJECT, cat=0.9, view=int(mirrored))
    drawn = explanation(made.judge([OBJECT]), 0).draw()
    assert drawn.dtype == np.uint8 and drawn.shape[1] > 3 * 300
    panels = np.array_split(drawn[-300:], 3, axis=1)
    # viridis: high values are yellow, with little blue.
    yellow = cv2.blur(panels[1].astype(np.float32), (15, 15)) @ np.array([-1.0, 0.5, 0.5])
    _, x = np.unravel_index(yellow.argmax(), yellow.shape)
    # The crop reaches from 0 to 60 px; the location is at 28 px, in the mirrored view at 64 - 28.
    assert x / panels[1].shape[1] * 60 == pytest.approx(36 if mirrored else 28, abs=5)


@pytest.mark.parametrize("rule", ["size_ranges", "atss", "task_aligned"])
def test_who_could_learn_it(rule):
    """By each rule: near its centre; a smaller box in its middle takes some of them."""
    options = {"assigner": rule} if rule != "task_aligned" else {
        "assigner": rule, "cls_loss": "quality_focal", "topk": 9,
    }  # fmt: skip
    made = HandMade(**options).put((3, 3), OBJECT, cat=0.5)
    judge = made.judge([OBJECT, (22, 22, 34, 34)])
    view, generator = judge.seen.views[0], judge.seen.generator
    alone = who_learns(view, generator, judge.objects.only(0), 0)
    beside = who_learns(view, generator, judge.objects, 0)
    assert alone.alone.equal(alone.together) and alone.alone.equal(beside.alone)
    assert alone.alone.sum() == sum(alone.levels) > 0
    assert (beside.together & ~beside.alone).sum() == 0
    assert beside.by_predictions == (rule == "task_aligned")
    if rule == "size_ranges":
        # In 24 px around the centre, 3 x 3 locations of p3; those within the smaller one are its.
        assert (alone.levels, int(beside.together.sum())) == ([9, 0], 8)


def test_too_small_to_be_learned():
    """Between the locations 28 and 36 px of p3, and 24 and 40 px of p4."""
    explained = explanation(HandMade().judge([(29, 29, 35, 35)]), 0)
    assert explained.could_learn == 0
    assert "No location learns it in training: none of the level for its size" in (
        explained.paragraph
    )


def test_a_smaller_object_takes_its_location():
    """Of 8 px each, both around the one location at 28, 28."""
    judge = HandMade().judge([(22, 22, 34, 34), (24, 24, 32, 32)])
    explained = explanation(judge, 0)
    assert (explained.could_learn, explained.learn) == (1, 0)
    assert "1 location could learn it" in explained.paragraph
    assert "other objects of the image take it" in explained.paragraph
