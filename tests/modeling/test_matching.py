"""One interface for all assigners."""

import pytest
import torch
from parts import ASSIGNERS
from torch import Tensor

from fcos_d2.modeling import TaskAlignedAssigner, matching
from fcos_d2.modeling.geometry import LocationGrid
from fcos_d2.modeling.matching import Truth, best_claim

GRIDS = [LocationGrid.of_level(8, 12, 8), LocationGrid.of_level(4, 6, 16)]
NUM_LOCATIONS = 8 * 12 + 4 * 6
RULES = [
    ASSIGNERS["size_ranges"](size_bounds=[32]),
    ASSIGNERS["atss"](topk=5, anchor_scale=4.0),
    ASSIGNERS["task_aligned"](topk=6, alpha=0.5, beta=3.0),
]


def random_truth(*counts: int) -> Truth:
    num = sum(counts)
    corners = torch.rand(num, 2) * 40
    boxes = torch.cat((corners, corners + 5 + torch.rand(num, 2) * 30), dim=1)
    return Truth(boxes, torch.randint(0, 3, (num,)), list(counts))


def random_predictions(num_images: int) -> tuple[Tensor, Tensor]:
    return torch.randn(num_images, NUM_LOCATIONS, 3), torch.rand(num_images, NUM_LOCATIONS, 4) * 4


def test_images_of_the_boxes():
    assert random_truth(2, 0, 1).image_idxs.tolist() == [0, 0, 2]
    assert random_truth(0).image_idxs.shape == (0,)


def test_best_claim():
    """Location 1 goes to the higher score, location 2 of equal scores to the first box."""
    location_idxs = torch.tensor([1, 1, 2, 2, 3])
    gt_idxs = torch.tensor([0, 1, 2, 0, 1])
    scores = torch.tensor([0.4, 0.6, 0.5, 0.5, 0.0])
    assert best_claim(location_idxs, gt_idxs, scores, 5).tolist() == [-1, 1, 0, 1, -1]


@pytest.mark.parametrize("at_once", [1, 5, 512])
@pytest.mark.parametrize("rule", RULES, ids=lambda x: type(x).__name__)
def test_a_batch_is_its_images(rule, at_once, monkeypatch):
    """Bit for bit, whatever number of boxes is assigned together."""
    monkeypatch.setattr(matching, "BOXES_AT_ONCE", at_once)
    truth, predictions = random_truth(4, 0, 2, 3), random_predictions(4)
    batch = rule.assign(truth, GRIDS, *predictions)
    matched = batch.matched_idxs.unflatten(0, (4, NUM_LOCATIONS))
    assert (matched[0] >= 0).any() and not (matched[1] >= 0).any()
    monkeypatch.setattr(matching, "BOXES_AT_ONCE", 512)
    first = 0
    for n, count in enumerate(truth.counts):
        image = Truth(truth.boxes[first:][:count], truth.classes[first:][:count], [count])
        alone = rule.assign(image, GRIDS, *(x[n : n + 1] for x in predictions))
        of_batch = torch.where(alone.matched_idxs < 0, -1, alone.matched_idxs + first)
        assert of_batch.equal(matched[n])
        if rule.needs_predictions:
            assert alone.alignment.equal(batch.alignment.unflatten(0, (4, -1))[n])
        else:
            assert alone.alignment is None and batch.alignment is None
        first += count


@pytest.mark.parametrize("rule", RULES, ids=lambda x: type(x).__name__)
def test_matches_carry_no_graph(rule):
    predictions = [x.requires_grad_() for x in random_predictions(1)]
    found = rule.assign(random_truth(3), GRIDS, *predictions)
    assert not any(x.requires_grad for x in found if isinstance(x, Tensor))


def test_predictions_in_strides():
    """The same boxes, predicted on levels of other strides, match the same."""
    truth, (cls_logits, ltrb) = random_truth(5), random_predictions(1)
    strides = torch.tensor([8.0] * 96 + [16.0] * 24)[:, None]
    doubled = [grid._replace(stride=2 * grid.stride) for grid in GRIDS]
    expected = RULES[2].assign(truth, GRIDS, cls_logits, ltrb / strides)
    actual = RULES[2].assign(truth, doubled, cls_logits, ltrb / (2 * strides))
    assert actual.matched_idxs.equal(expected.matched_idxs)
    assert actual.alignment.equal(expected.alignment) and (expected.alignment > 0).any()


def test_missing_predictions():
    with pytest.raises(ValueError, match="depends on what the model predicts"):
        TaskAlignedAssigner().assign(random_truth(2), GRIDS)
