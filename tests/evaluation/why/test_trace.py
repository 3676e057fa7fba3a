"""The steps, one by one, end in what the predictor finds."""

import pytest
import torch

from fcos_d2.evaluation.slicing import Slicing
from fcos_d2.evaluation.tta import FlipsAndScales
from fcos_d2.evaluation.views import ViewSettings
from fcos_d2.evaluation.why.seen import look
from fcos_d2.evaluation.why.trace import trace

SLICING = Slicing(48, 0.2)
SIZES = FlipsAndScales((48, 64), 128)
PLAIN = ViewSettings()
CASES = {
    "plain": (PLAIN, None, None),
    "plain, of one class for each place": (PLAIN, None, 0.5),
    "threshold": (PLAIN, 0.5, None),
    "threshold by class": (PLAIN, {"cat": 0.6, "dog": 0.3}, None),
    "slices": (ViewSettings(SLICING), 0.5, None),
    "sizes and mirror images": (ViewSettings(None, SIZES), None, None),
    "all of it": (ViewSettings(SLICING, SIZES), 0.4, 0.5),
}


@pytest.mark.parametrize(("views", "threshold", "across_classes"), CASES.values(), ids=CASES)
def test_what_is_left_is_what_the_predictor_finds(
    predictor, picture, views, threshold, across_classes
):
    mapper = predictor.mapper
    predictor.mapper = views.loader_mapper(mapper)
    predictor.detector = views.wrap(predictor.model, mapper)
    predictor.iou_across_classes = across_classes
    if threshold is not None:
        predictor.set_threshold(threshold)
    expected = predictor(picture)
    traced = trace(look(predictor, picture), predictor.model.proposal_generator.test_selection)
    assert len(expected) > 3
    assert torch.equal(traced.found.pred_boxes.tensor, expected.pred_boxes.tensor)
    assert torch.equal(traced.found.scores, expected.scores)
    assert torch.equal(traced.found.pred_classes, expected.pred_classes)
    assert_nothing_comes_back(traced)


def assert_nothing_comes_back(traced):
    """What passes a gate has passed those before it; each gate but the last lets some through."""
    before = None
    for gate in traced.gates:
        pairs = {*zip(gate.kept.location_idxs.tolist(), gate.kept.classes.tolist(), strict=True)}
        assert before is None or pairs <= before
        before = pairs
    found = traced.found
    assert before == {*zip(found.location_idxs.tolist(), found.pred_classes.tolist(), strict=True)}


def test_an_image_that_shows_nothing(predictor, picture):
    """Of one pixel in height the predictor returns nothing, and so does the trace."""
    line = picture[:1]
    traced = trace(look(predictor, line), predictor.model.proposal_generator.test_selection)
    assert len(predictor(line)) == len(traced.found) == 0
    assert int(traced.passed(0).max()) < len(traced.gates)


def test_boxes_of_locations_are_those_of_detections(predictor, picture):
    """Each detection's box is what its location says, clipped to the image."""
    traced = trace(look(predictor, picture), predictor.model.proposal_generator.test_selection)
    boxes = traced.boxes[traced.found.location_idxs]
    assert torch.equal(boxes, traced.found.pred_boxes.tensor)


def test_two_stages_are_refused(predictor, picture):
    predictor.model = torch.nn.Identity()
    with pytest.raises(ValueError, match=r"two-stage detector \(Identity\)"):
        look(predictor, picture)
