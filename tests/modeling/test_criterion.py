"""The losses of a batch, on paper and with their options."""

import dataclasses
import math

import pytest
import torch

from fcos_d2.modeling.criterion import BOX_QUALITIES, CLS_LOSSES, Criterion
from fcos_d2.modeling.losses import LOC_LOSS_TYPES
from fcos_d2.modeling.targets import Targets

LOG2 = math.log(2)
ONES = (torch.tensor(1.0),) * 3
CRITERION = Criterion(
    num_classes=1,
    cls_loss="focal",
    focal_alpha=0.25,
    focal_gamma=2.0,
    box_quality="ctrness",
    loc_loss_type="giou",
    iou_smoothing=1.0,
    centerness_weighted_loc=True,
    loss_weight_cls=1.0,
    loss_weight_loc=1.0,
    loss_weight_quality=1.0,
)


def case(alignment: list[float] | None = None):
    """One image, two locations, one class; logits 0. The first location learns a box of side 2
    around it, and predicts one of side 1: IoU 1/4, smoothed 2/5."""
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
        ({"cls_loss": "focal"}, 0.25 * LOG2),
        # The exact IoU 1/4 is the target: (1/4 - 1/2)^2 log 2 and (1/2)^2 log 2.
        ({"cls_loss": "quality_focal"}, (0.0625 + 0.25) * LOG2),
        ({"cls_loss": "quality_focal", "focal_gamma": 1.0}, (0.25 + 0.5) * LOG2),
        # 1/4 log 2 and 0.75 (1/2)^2 log 2.
        ({"cls_loss": "varifocal"}, (0.25 + 0.1875) * LOG2),
        # Of an alignment of 0.9: 0.4^2 log 2 or 0.9 log 2, and the same negatives.
        ({"cls_loss": "quality_focal", "alignment": [0.9, 0]}, (0.16 + 0.25) * LOG2),
        ({"cls_loss": "varifocal", "alignment": [0.9, 0]}, (0.9 + 0.1875) * LOG2),
    ],
)
def test_classification_on_paper(options, expected):
    assert losses(**options)["loss_fcos_cls"] == pytest.approx(expected)


def test_box_loss_on_paper():
    """1 - 2/5 smoothed, no penalty for equal centres; centerness 1, or weight 0.9."""
    assert losses()["loss_fcos_loc"] == pytest.approx(0.6)
    aligned = losses(alignment=[0.9, 0], cls_loss="varifocal")
    assert aligned["loss_fcos_loc"] == pytest.approx(0.54)


def test_names_of_the_losses():
    names = {x: list(losses(box_quality=x))[2:] for x in BOX_QUALITIES}
    assert names == {"ctrness": ["loss_fcos_ctr"], "iou": ["loss_fcos_iou"], "none": []}


def test_normalisers_and_weights():
    normalizers = tuple(torch.tensor([2.0, 4.0, 8.0]))
    plain = losses()
    weighted = dataclasses.replace(
        CRITERION, loss_weight_cls=3.0, loss_weight_loc=5.0, loss_weight_quality=7.0
    ).losses(*case(), normalizers)
    for (name, loss), factor in zip(weighted.items(), (3 / 2, 5 / 4, 7 / 8), strict=True):
        assert loss.item() == pytest.approx(factor * plain[name])


@pytest.mark.parametrize("cls_loss", CLS_LOSSES)
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
        ({"box_quality": "none"}, math.sqrt(1 / 3)),
    ],
)
def test_target_sums(options, weight):
    """Two images of two levels with 2 and 1 locations; one positive, on the second level."""
    only = torch.tensor([2]), torch.tensor([0]), torch.tensor([[1.0, 1.0, 3.0, 1.0]])
    locations = [torch.zeros(2, 2), torch.zeros(1, 2)]
    sums = dataclasses.replace(CRITERION, **options).target_sums(
        Targets(2, 3, *only, None), locations
    )
    assert sums.tolist() == pytest.approx([0, 1, weight, 6])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cls_loss": "bce"}, "cls_loss must be one of.*got 'bce'"),
        ({"box_quality": "area"}, "box_quality must be one of.*got 'area'"),
        ({"loc_loss_type": "l1"}, "loc_loss_type must be one of.*got 'l1'"),
        ({"focal_gamma": 0.5}, "focal_gamma .*got 0.5 with 'focal'"),
        ({"focal_gamma": -1.0, "cls_loss": "varifocal"}, "focal_gamma .*got -1.0 with 'varifocal'"),
        ({"focal_gamma": 0.0, "cls_loss": "quality_focal"}, "focal_gamma .*got 0.0 with 'quality"),
        ({"iou_smoothing": -0.5}, "iou_smoothing must be positive.*got -0.5"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CRITERION, **options)
