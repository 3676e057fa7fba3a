"""One interface for all assigners."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fcos_d2.modeling import targets
from fcos_d2.modeling.assignment import location_targets
from fcos_d2.modeling.assignment_atss import assign_atss
from fcos_d2.modeling.assignment_tal import assign_task_aligned
from fcos_d2.modeling.geometry import LocationGrid, level_locations
from fcos_d2.modeling.targets import ASSIGNERS, TargetMaker

GRIDS = [LocationGrid.of_level(8, 12, 8), LocationGrid.of_level(4, 6, 16)]
LOCATIONS = [level_locations(grid, like=torch.zeros(0)) for grid in GRIDS]
NUM_LOCATIONS = 8 * 12 + 4 * 6
MAKER = TargetMaker(
    assigner="size_ranges",
    num_classes=3,
    strides=[8, 16],
    size_ranges=[(0.0, 32.0), (32.0, float("inf"))],
    inclusive_size_ranges=True,
    center_sampling_radius=1.5,
    atss_topk=5,
    atss_anchor_scale=4.0,
    tal_topk=6,
    tal_alpha=0.5,
    tal_beta=3.0,
)


def random_truth(num: int) -> tuple[Tensor, Tensor]:
    corners = torch.rand(num, 2) * 40
    boxes = torch.cat((corners, corners + 5 + torch.rand(num, 2) * 30), dim=1)
    return boxes, torch.randint(0, 3, (num,))


def random_predictions(num_images: int) -> tuple[Tensor, Tensor]:
    return torch.randn(num_images, NUM_LOCATIONS, 3), torch.rand(num_images, NUM_LOCATIONS, 4) * 4


def maker(assigner: str) -> TargetMaker:
    return dataclasses.replace(MAKER, assigner=assigner)


def test_size_ranges():
    """Against the dense targets of the image, whose distances mean nothing in the background."""
    boxes, classes = random_truth(5)
    actual = MAKER.batch_targets([(boxes, classes)], GRIDS, LOCATIONS)
    labels, ltrb = location_targets(
        boxes, classes, LOCATIONS, GRIDS, [8, 16], MAKER.size_ranges, 1.5, num_classes=3
    )
    assert actual.labels(3).equal(labels) and len(actual.classes) > 0
    assert actual.ltrb_in_strides.equal(ltrb[labels < 3])
    assert actual.positive_idxs.equal((labels < 3).nonzero()[:, 0])
    assert actual.alignment is None and not MAKER.needs_predictions


def test_atss():
    boxes, classes = random_truth(5)
    actual = maker("atss").batch_targets([(boxes, classes)], GRIDS, LOCATIONS)
    matched = assign_atss(boxes, GRIDS, [8, 16], 5, 4.0)
    assert maker("atss").match(boxes, GRIDS).equal(matched)
    assert actual.labels(3).equal(torch.where(matched < 0, 3, classes[matched]))
    assert actual.alignment is None


def test_task_aligned():
    """Predictions are turned into px; the targets of a location are its box in strides."""
    boxes, classes = random_truth(5)
    cls_logits, ltrb = random_predictions(1)
    actual = maker("task_aligned").batch_targets(
        [(boxes, classes)], GRIDS, LOCATIONS, cls_logits, ltrb
    )
    strides = torch.tensor([8.0] * 96 + [16.0] * 24)[:, None]
    points = torch.cat(LOCATIONS)
    expected = assign_task_aligned(
        boxes, classes, GRIDS, points, cls_logits[0], ltrb[0] * strides, 6, 0.5, 3.0
    )
    positive = expected.matched_idxs >= 0
    assert actual.alignment.equal(expected.alignment[positive]) and (actual.alignment > 0).any()
    assert (actual.labels(3) < 3).equal(positive)
    target = actual.ltrb_in_strides * strides[positive]
    corners = torch.cat((points[positive] - target[:, :2], points[positive] + target[:, 2:]), dim=1)
    torch.testing.assert_close(corners, boxes[expected.matched_idxs[positive]])


@pytest.mark.parametrize("at_once", [1, 5, 512])
@pytest.mark.parametrize("assigner", ASSIGNERS)
def test_a_batch_is_its_images(assigner, at_once, monkeypatch):
    """Bit for bit, whatever number of boxes is assigned together."""
    monkeypatch.setattr(targets, "BOXES_AT_ONCE", at_once)
    truth = [random_truth(num) for num in (4, 0, 2, 3)]
    predictions = random_predictions(4)
    batch = maker(assigner).batch_targets(truth, GRIDS, LOCATIONS, *predictions)
    assert (batch.num_images, batch.num_locations) == (4, NUM_LOCATIONS)
    of_image = batch.positive_idxs // NUM_LOCATIONS
    assert (of_image == 0).any() and not (of_image == 1).any()
    for n, image in enumerate(truth):
        alone = maker(assigner).batch_targets(
            [image], GRIDS, LOCATIONS, *(x[n : n + 1] for x in predictions)
        )
        mine = of_image == n
        assert alone.positive_idxs.equal(batch.positive_idxs[mine] - n * NUM_LOCATIONS)
        for field in ("classes", "ltrb_in_strides", "alignment"):
            one, many = getattr(alone, field), getattr(batch, field)
            assert one is None if many is None else one.equal(many[mine])


@pytest.mark.parametrize("assigner", ASSIGNERS)
def test_targets_carry_no_graph(assigner):
    predictions = [x.requires_grad_() for x in random_predictions(1)]
    found = maker(assigner).batch_targets([random_truth(3)], GRIDS, LOCATIONS, *predictions)
    assert not any(x.requires_grad for x in found if isinstance(x, Tensor))


def test_errors():
    with pytest.raises(ValueError, match="assigner must be one of.*'atss'.*got 'nearest'"):
        maker("nearest")
    message = "'task_aligned' depends on what the model predicts"
    with pytest.raises(ValueError, match=message):
        maker("task_aligned").match(random_truth(2)[0], GRIDS)
    with pytest.raises(ValueError, match=message):
        maker("task_aligned").batch_targets([random_truth(2)], GRIDS, LOCATIONS)
