"""The losses of a batch, on paper and with their options."""

import dataclasses
import math

import pytest
import torch

from fcos_d2.modeling import Criterion, QualityFocalLoss, SizeRangeAssigner, VarifocalLoss
from fcos_d2.modeling.criterion import BOX_QUALITIES, Targets
from fcos_d2.modeling.geometry import LocationGrid, all_locations
from fcos_d2.modeling.losses import LOC_LOSS_TYPES
from fcos_d2.modeling.matching import Matches, Truth

LOG2 = math.log(2)
ONES = (torch.tensor(1.0),) * 3
QUALITY_FOCAL, VARIFOCAL = QualityFocalLoss(), VarifocalLoss()
CRITERION = Criterion()


def test_targets_of_one_box():
    grids = [LocationGrid.of_level(4, 4, 8)]
    truth = Truth(torch.tensor([[8.0, 8.0, 24.0, 24.0]]), torch.tensor([3]), [1])
    matches = SizeRangeAssigner(size_bounds=[]).assign(truth, grids)
    targets = Targets.of_matches(matches, truth, grids)
    assert targets.labels(7).tolist() == [7, 7, 7, 7, 7, 3, 3, 7, 7, 3, 3, 7, 7, 7, 7, 7]
    assert targets.positive_idxs.tolist() == [5, 6, 9, 10]
    # Location (12, 12): 12-8, 12-8, 24-12, 24-12 px; divided by 8. Location (20, 12) likewise.
    assert targets.ltrb_in_strides[0].tolist() == [0.5, 0.5, 1.5, 1.5]
    assert targets.ltrb_in_strides[1].tolist() == [1.5, 0.5, 0.5, 1.5]
    assert targets.alignment is None


def test_targets_without_boxes():
    grids = [LocationGrid.of_level(3, 5, 8), LocationGrid.of_level(2, 3, 16)]
    truth = Truth(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), [0])
    matches = SizeRangeAssigner(size_bounds=[64]).assign(truth, grids)
    targets = Targets.of_matches(matches, truth, grids)
    assert targets.labels(7).tolist() == [7] * 21
    assert targets.ltrb_in_strides.shape == (0, 4)


def test_targets_agree_with_the_matches():
    """Two images; every second location of each learns one of its boxes."""
    grids = [LocationGrid.of_level(4, 6, 8), LocationGrid.of_level(2, 3, 16)]
    corners = torch.rand(5, 2) * 20
    boxes = torch.cat((corners, corners + 1 + torch.rand(5, 2) * 30), dim=1)
    truth = Truth(boxes, torch.randint(7, (5,)), [2, 3])
    matched_idxs = torch.cat((torch.randint(0, 2, (30,)), torch.randint(2, 5, (30,))))
    matched_idxs[1::2] = -1
    alignment = torch.rand(60)
    targets = Targets.of_matches(Matches(matched_idxs, alignment), truth, grids)
    assert (targets.num_images, targets.num_locations) == (2, 30)
    assert targets.positive_idxs.equal(torch.arange(0, 60, 2))
    locations, strides = all_locations(grids, like=boxes), [8] * 24 + [16] * 6
    for nth, i in enumerate(targets.positive_idxs.tolist()):
        (x, y), (x1, y1, x2, y2) = locations[i % 30].tolist(), boxes[matched_idxs[i]].tolist()
        assert targets.classes[nth] == truth.classes[matched_idxs[i]]
        expected = [d / strides[i % 30] for d in (x - x1, y - y1, x2 - x, y2 - y)]
        assert targets.ltrb_in_strides[nth].tolist() == pytest.approx(expected, abs=1e-5)
        assert targets.alignment[nth] == alignment[i]


def case(alignment: list[float] | None = None):
    """One image, two locations, one class; logits 0. The first location learns a box of side 2
    around it, and predicts one of side 1: IoU 1/4, smoothed 2/5.
    """
    cls_logits = torch.zeros(1, 2, 1, requires_grad=True)
    ltrb = torch.full((1, 2, 4), 0.5, requires_grad=True)
    quality_logits = torch.zeros(1, 2, requires_grad=True)
    targets = Targets(
        num_images=1,
        num_locations=2,
        positive_idxs=torch.tensor([0]),
        classes=torch.tensor([0]),
        ltrb_in_strides=torch.ones(1, 4),
        alignment=None if alignment is None else torch.tensor(alignment[:1]),
    )
    return cls_logits, ltrb, quality_logits, targets


def losses(alignment: list[float] | None = None, **options) -> dict[str, float]:
    criterion = dataclasses.replace(CRITERION, **options)
    return {k: x.item() for k, x in criterion.losses(*case(alignment), ONES).items()}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # The positive entry 0.25 (1/2)^2 log 2, the negative one 0.75 (1/2)^2 log 2.
        ({}, 0.25 * LOG2),
        # The exact IoU 1/4 is the target: (1/4 - 1/2)^2 log 2 and (1/2)^2 log 2.
        ({"cls_loss": QUALITY_FOCAL}, (0.0625 + 0.25) * LOG2),
        ({"cls_loss": QualityFocalLoss(beta=1.0)}, (0.25 + 0.5) * LOG2),
        # 1/4 log 2 and 0.75 (1/2)^2 log 2.
        ({"cls_loss": VARIFOCAL}, (0.25 + 0.1875) * LOG2),
        # Of an alignment of 0.9: 0.4^2 log 2 or 0.9 log 2, and the same negatives.
        ({"cls_loss": QUALITY_FOCAL, "alignment": [0.9, 0]}, (0.16 + 0.25) * LOG2),
        ({"cls_loss": VARIFOCAL, "alignment": [0.9, 0]}, (0.9 + 0.1875) * LOG2),
    ],
)
def test_classification_on_paper(options, expected):
    assert losses(**options)["loss_fcos_cls"] == pytest.approx(expected)


def test_box_loss_on_paper():
    """1 - 2/5 smoothed, no penalty for equal centres; centerness 1, or weight 0.9."""
    assert losses()["loss_fcos_loc"] == pytest.approx(0.6)
    aligned = losses(alignment=[0.9, 0], cls_loss=VARIFOCAL)
    assert aligned["loss_fcos_loc"] == pytest.approx(0.54)


def test_names_of_the_losses():
    names = {x: list(losses(box_quality=x))[2:] for x in BOX_QUALITIES}
    assert names == {"ctrness": ["loss_fcos_ctr"], "iou": ["loss_fcos_iou"]}
    cls_logits, ltrb, _, targets = case()
    without_branch = CRITERION.losses(cls_logits, ltrb, None, targets, ONES)
    assert list(without_branch) == ["loss_fcos_cls", "loss_fcos_loc"]


def test_normalisers_and_weights():
    normalizers = tuple(torch.tensor([2.0, 4.0, 8.0]))
    plain = losses()
    weighted = dataclasses.replace(
        CRITERION, loss_weight_cls=3.0, loss_weight_loc=5.0, loss_weight_quality=7.0
    ).losses(*case(), normalizers)
    for (name, loss), factor in zip(weighted.items(), (3 / 2, 5 / 4, 7 / 8), strict=True):
        assert loss.item() == pytest.approx(factor * plain[name])


@pytest.mark.parametrize("cls_loss", [CRITERION.cls_loss, QUALITY_FOCAL, VARIFOCAL])
@pytest.mark.parametrize("loc_loss_type", LOC_LOSS_TYPES)
def test_the_class_target_gives_no_gradient_to_the_box(cls_loss, loc_loss_type):
    inputs = case()
    criterion = dataclasses.replace(CRITERION, cls_loss=cls_loss, loc_loss_type=loc_loss_type)
    result = criterion.losses(*inputs, ONES)
    result["loss_fcos_cls"].backward(retain_graph=True)
    assert inputs[1].grad is None and inputs[0].grad.abs().sum() > 0
    result["loss_fcos_loc"].backward()
    assert inputs[1].grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("options", "weight"),
    [
        # Distances 1, 1, 3, 1: centerness sqrt(1/3).
        ({}, math.sqrt(1 / 3)),
        ({"centerness_weighted_loc": False}, 1.0),
        ({"box_quality": "iou"}, 1.0),
    ],
)
def test_target_sums(options, weight):
    """Two images of two levels with 2 and 1 locations; one positive, on the second level."""
    only = torch.tensor([2]), torch.tensor([0]), torch.tensor([[1.0, 1.0, 3.0, 1.0]])
    grids = [LocationGrid.of_level(1, 2, 8), LocationGrid.of_level(1, 1, 16)]
    sums = dataclasses.replace(CRITERION, **options).target_sums(Targets(2, 3, *only, None), grids)
    assert sums.tolist() == pytest.approx([0, 1, weight, 6])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"box_quality": "area"}, "box_quality must be one of.*got 'area'"),
        ({"loc_loss_type": "l1"}, "loc_loss_type must be one of.*got 'l1'"),
        ({"iou_smoothing": -0.5}, "iou_smoothing must be positive.*got -0.5"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CRITERION, **options)
