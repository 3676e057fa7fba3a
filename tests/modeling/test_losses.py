"""Focal loss, the IoU family and the quality loss."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import ops

from fcos_d2.modeling.geometry import ltrb_to_boxes
from fcos_d2.modeling.losses import (
    LOC_LOSS_TYPES,
    FocalLoss,
    box_overlap,
    quality_loss,
)
from fcos_d2.modeling.losses import iou_loss as iou_loss_of
from fcos_d2.modeling.losses import smoothed_iou as smoothed_iou_of


def focal_loss(
    cls_logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    return FocalLoss(alpha=alpha, gamma=gamma)(cls_logits, labels)


def smoothed_iou(pred: Tensor, target: Tensor, smoothing: float = 1.0) -> Tensor:
    return smoothed_iou_of(pred, target, smoothing)


def iou_loss(pred: Tensor, target: Tensor, loss_type: str, smoothing: float = 1.0) -> Tensor:
    return iou_loss_of(pred, target, loss_type, smoothing)


def random_ltrb(num: int, unit: float = 1.0) -> tuple[Tensor, Tensor]:
    """Predicted and true distances, float64, all positive."""
    return tuple((torch.rand(num, 4, dtype=torch.float64) * 5 + 0.1) * unit for _ in range(2))


# --- focal loss -------------------------------------------------------------------------------


def test_focal_loss_on_paper():
    # Two locations, two classes, all logits 0, so p = 1/2 and -log p = log 2 = 0.693147.
    # The one positive entry gives 0.25 * 0.5^2 * 0.693147 = 0.043322, each of the three negative
    # ones (1 - 0.25) * 0.5^2 * 0.693147 = 0.129965: together 0.433217.
    loss = focal_loss(torch.zeros(2, 2), torch.tensor([0, 2]), alpha=0.25, gamma=2.0)
    torch.testing.assert_close(loss, torch.tensor(0.433217), rtol=0, atol=1e-6)


def focal_loss_slowly(cls_logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> float:
    """arXiv 1708.02002, equation 5, entry by entry."""
    total = 0.0
    for logits, label in zip(cls_logits.tolist(), labels.tolist(), strict=True):
        for class_idx, logit in enumerate(logits):
            probability = 1 / (1 + math.exp(-logit))
            if class_idx == label:
                total += alpha * (1 - probability) ** gamma * -math.log(probability)
            else:
                total += (1 - alpha) * probability**gamma * -math.log(1 - probability)
    return total


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 1.5), (0.25, 0.0), (1.0, 3.0)])
def test_focal_loss_against_other_formulas(alpha, gamma):
    cls_logits = torch.randn(50, 7, dtype=torch.float64) * 3
    labels = torch.randint(0, 8, (50,))
    labels[:2] = torch.tensor([0, 7])
    actual = focal_loss(cls_logits, labels, alpha, gamma)
    slow = focal_loss_slowly(cls_logits, labels, alpha, gamma)
    assert actual.item() == pytest.approx(slow, rel=1e-12)
    one_hot = F.one_hot(labels, 8)[:, :7].double()
    theirs = ops.sigmoid_focal_loss(cls_logits, one_hot, alpha, gamma, reduction="sum")
    torch.testing.assert_close(actual, theirs)


def test_focal_loss_in_float32_has_the_gradient_of_torchvision_in_float64():
    exact = (torch.randn(50, 7, dtype=torch.float64) * 3).requires_grad_()
    labels = torch.randint(0, 8, (50,))
    one_hot = F.one_hot(labels, 8)[:, :7].double()
    ops.sigmoid_focal_loss(exact, one_hot, reduction="sum").backward()
    cls_logits = exact.detach().float().requires_grad_()
    focal_loss(cls_logits, labels).backward()
    torch.testing.assert_close(cls_logits.grad, exact.grad.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gamma", [1.5, 2.0])
def test_focal_loss_gradcheck(gamma):
    cls_logits = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 3, 2, 3, 1, 1])
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, labels, 0.25, gamma), cls_logits)


def test_order_of_locations_does_not_matter_to_the_focal_loss():
    cls_logits, labels = torch.randn(50, 7, dtype=torch.float64), torch.randint(0, 8, (50,))
    order = torch.randperm(50)
    expected = focal_loss(cls_logits, labels)
    torch.testing.assert_close(focal_loss(cls_logits[order], labels[order]), expected)
    halves = focal_loss(cls_logits[:20], labels[:20]) + focal_loss(cls_logits[20:], labels[20:])
    torch.testing.assert_close(halves, expected)


def test_focal_loss_of_certain_predictions_is_finite():
    # Wrong by 100: -log p = 100; right by 100: nothing.
    cls_logits = torch.tensor([[-100.0, -100.0], [100.0, 100.0]], requires_grad=True)
    loss = focal_loss(cls_logits, torch.tensor([0, 1]))
    torch.testing.assert_close(loss, torch.tensor(0.25 * 100 + 0.75 * 100))
    loss.backward()
    torch.testing.assert_close(cls_logits.grad, torch.tensor([[-0.25, 0], [0.75, 0]]))


def test_focal_loss_without_positives_or_locations():
    cls_logits = torch.zeros(3, 2, requires_grad=True)
    focal_loss(cls_logits, torch.tensor([2, 2, 2])).backward()
    assert (cls_logits.grad > 0).all()
    nothing = torch.zeros(0, 2, requires_grad=True)
    loss = focal_loss(nothing, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss == 0


# --- boxes ------------------------------------------------------------------------------------

# Predicted and true distances, and the loss of each type. The areas of the comments are in strides.
PAPER_CASES = {
    # Box side 1 in box side 2, one centre: intersection 1, union 4, IoU (1+1)/(4+1) = 0.4, no
    # penalties. -log 0.4 = 0.916291.
    "same centre": (
        [0.5, 0.5, 0.5, 0.5],
        [1.0, 1.0, 1.0, 1.0],
        {"iou": 0.916291, "linear_iou": 0.6, "giou": 0.6, "diou": 0.6, "ciou": 0.6},
    ),
    # Boxes (0, 0)-(2, 2) and (-1, -1)-(1, 1): intersection 1, union 7, IoU 2/8. Hull of side 3:
    # penalty (9-7)/9 = 0.222222. Centres (1, 1) and (0, 0), diagonal 9+9: penalty 2/18 = 0.111111.
    "shifted": (
        [0.0, 0.0, 2.0, 2.0],
        [1.0, 1.0, 1.0, 1.0],
        {"iou": 1.386294, "linear_iou": 0.75, "giou": 0.972222, "diou": 0.861111, "ciou": 0.861111},
    ),
    # 2 wide and 4 high against 4 wide and 2 high: intersection 4, union 12, IoU 5/13 = 0.384615,
    # hull 16, penalty 4/16. Shape: 4/pi^2 * (atan 2 - atan 0.5)^2 = 0.167826, weighted by
    # 0.167826 / (0.615385 + 0.167826) = 0.214280, penalty 0.035962.
    "turned": (
        [1.0, 2.0, 1.0, 2.0],
        [2.0, 1.0, 2.0, 1.0],
        {"iou": 0.955511, "linear_iou": 0.615385, "giou": 0.865385, "diou": 0.615385}
        | {"ciou": 0.651346},
    ),
    # The prediction is the location itself: intersection 0, union 4, IoU 1/5, hull 4, one centre.
    # Shape, where no width counts as 0: 4/pi^2 * (atan 1 - atan 0)^2 = 0.25, weighted by
    # 0.25 / (0.8 + 0.25) = 0.238095, penalty 0.059524.
    "point": (
        [0.0, 0.0, 0.0, 0.0],
        [1.0, 1.0, 1.0, 1.0],
        {"iou": 1.609438, "linear_iou": 0.8, "giou": 0.8, "diou": 0.8, "ciou": 0.859524},
    ),
}


@pytest.mark.parametrize("loss_type", LOC_LOSS_TYPES)
@pytest.mark.parametrize("case", PAPER_CASES)
def test_box_losses_on_paper(case, loss_type):
    pred, target, expected = PAPER_CASES[case]
    loss = iou_loss(torch.tensor([pred]), torch.tensor([target]), loss_type)
    torch.testing.assert_close(loss, torch.tensor([expected[loss_type]]), rtol=0, atol=2e-6)


def test_overlap_on_paper():
    # (-1, -2)-(3, 4) and (-2, -1)-(2, 5): shared (-1, -1)-(2, 4), 3*5; 4*6 + 4*6 - 15 = 33.
    pred, target = torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[2.0, 1, 2, 5]])
    intersection, union = box_overlap(pred, target)
    assert (intersection.item(), union.item()) == (15, 33)
    assert smoothed_iou(pred, target).item() == pytest.approx(16 / 34)
    assert smoothed_iou(pred, target, smoothing=0).item() == pytest.approx(15 / 33)
    assert iou_loss(pred, target, "linear_iou", smoothing=3).item() == pytest.approx(1 - 18 / 36)


TORCHVISION_LOSSES = {
    "giou": ops.generalized_box_iou_loss,
    "diou": ops.distance_box_iou_loss,
    "ciou": ops.complete_box_iou_loss,
}


def as_boxes(ltrb: Tensor) -> Tensor:
    return ltrb_to_boxes(torch.zeros(len(ltrb), 2, dtype=ltrb.dtype), ltrb)


@pytest.mark.parametrize("loss_type", ["giou", "diou"])
def test_penalties_against_torchvision(loss_type):
    # Ours adds 1 to both areas of the IoU, and nothing to the penalty.
    pred, target = random_ltrb(200)
    intersection, union = box_overlap(pred, target)
    theirs = TORCHVISION_LOSSES[loss_type](as_boxes(pred), as_boxes(target))
    expected = theirs + intersection / union - (intersection + 1) / (union + 1)
    actual = iou_loss(pred, target, loss_type)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("loss_type", TORCHVISION_LOSSES)
def test_large_boxes_against_torchvision(loss_type):
    # Next to areas of 1e8 the added 1 is nothing.
    pred, target = random_ltrb(200, unit=1e4)
    theirs = TORCHVISION_LOSSES[loss_type](as_boxes(pred), as_boxes(target))
    torch.testing.assert_close(iou_loss(pred, target, loss_type), theirs, rtol=0, atol=1e-6)


def test_overlap_against_torchvision():
    pred, target = random_ltrb(200)
    intersection, union = box_overlap(pred, target)
    theirs = ops.box_iou(as_boxes(pred), as_boxes(target)).diagonal()
    torch.testing.assert_close(intersection / union, theirs)


def box_loss_slowly(pred: list[float], target: list[float], loss_type: str) -> float:
    """The definitions in plain numbers, with the corners of the boxes."""
    (x1, y1, x2, y2), (a1, b1, a2, b2) = (
        (-left, -top, right, bottom) for left, top, right, bottom in (pred, target)
    )
    intersection = max(min(x2, a2) - max(x1, a1), 0) * max(min(y2, b2) - max(y1, b1), 0)
    union = (x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - intersection
    hull_width, hull_height = max(x2, a2) - min(x1, a1), max(y2, b2) - min(y1, b1)
    iou = (intersection + 1) / (union + 1)
    if loss_type == "iou":
        return -math.log(iou)
    loss = 1 - iou
    if loss_type == "giou":
        loss += 1 - union / (hull_width * hull_height)
    if loss_type in ("diou", "ciou"):
        distance = math.hypot((x1 + x2 - a1 - a2) / 2, (y1 + y2 - b1 - b2) / 2)
        loss += (distance / math.hypot(hull_width, hull_height)) ** 2
    if loss_type == "ciou":
        angle = math.atan2(a2 - a1, b2 - b1) - math.atan2(x2 - x1, y2 - y1)
        shape = (2 / math.pi * angle) ** 2
        loss += shape * shape / (1 - iou + shape)
    return loss


@pytest.mark.parametrize("loss_type", LOC_LOSS_TYPES)
def test_box_losses_against_the_slow_way(loss_type):
    pred, target = random_ltrb(200)
    expected = [
        box_loss_slowly(*pair, loss_type)
        for pair in zip(pred.tolist(), target.tolist(), strict=True)
    ]
    assert iou_loss(pred, target, loss_type).tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("loss_type", [x for x in LOC_LOSS_TYPES if x != "ciou"])
def test_box_losses_gradcheck(loss_type):
    pred, target = random_ltrb(20)
    pred.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: iou_loss(x, target, loss_type), pred)


def test_ciou_gradcheck():
    # The weight of the shape term carries no gradient, so it is held fixed for the check.
    pred, target = random_ltrb(20)
    pred.requires_grad_()

    def shape_difference(ltrb: Tensor) -> Tensor:
        angles = [torch.atan((x[:, 0] + x[:, 2]) / (x[:, 1] + x[:, 3])) for x in (target, ltrb)]
        return 4 / math.pi**2 * (angles[0] - angles[1]) ** 2

    difference = shape_difference(pred).detach()
    weight = difference / (1 - smoothed_iou(pred, target).detach() + difference)

    def with_fixed_weight(ltrb: Tensor) -> Tensor:
        return iou_loss(ltrb, target, "diou") + weight * shape_difference(ltrb)

    assert torch.autograd.gradcheck(with_fixed_weight, pred)
    (expected,) = torch.autograd.grad(with_fixed_weight(pred).sum(), pred)
    (actual,) = torch.autograd.grad(iou_loss(pred, target, "ciou").sum(), pred)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("loss_type", LOC_LOSS_TYPES)
def test_a_perfect_box_costs_nothing(loss_type):
    target = random_ltrb(50)[0]
    pred = target.clone().requires_grad_()
    loss = iou_loss(pred, target, loss_type)
    torch.testing.assert_close(loss, torch.zeros_like(loss))
    loss.sum().backward()
    assert pred.grad.isfinite().all()
    assert (iou_loss(random_ltrb(50)[0], target, loss_type) > 0).all()


@pytest.mark.parametrize("loss_type", LOC_LOSS_TYPES)
def test_box_losses_do_not_depend_on_order_or_handedness(loss_type):
    pred, target = random_ltrb(50)
    expected = iou_loss(pred, target, loss_type)
    order = torch.randperm(50)
    torch.testing.assert_close(iou_loss(pred[order], target[order], loss_type), expected[order])
    mirrored = [2, 1, 0, 3]
    actual = iou_loss(pred[:, mirrored], target[:, mirrored], loss_type)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("loss_type", LOC_LOSS_TYPES)
def test_a_predicted_box_without_area_has_a_finite_loss_and_gradient(loss_type):
    # What ReLU gives: a point, a horizontal and a vertical line.
    pred = torch.tensor([[0.0, 0, 0, 0], [2.0, 0, 1, 0], [0.0, 2, 0, 1]], requires_grad=True)
    loss = iou_loss(pred, torch.tensor([[1.0, 2, 3, 4]] * 3), loss_type)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert pred.grad.isfinite().all()


@pytest.mark.parametrize("loss_type", LOC_LOSS_TYPES)
def test_no_positives_have_no_box_loss(loss_type):
    pred = torch.zeros(0, 4, requires_grad=True)
    loss = iou_loss(pred, torch.zeros(0, 4), loss_type)
    assert loss.shape == (0,)
    loss.sum().backward()
    assert pred.grad.shape == (0, 4)


def test_unknown_loss_type():
    with pytest.raises(ValueError, match="'giou'.*got 'gioo'"):
        iou_loss(torch.ones(1, 4), torch.ones(1, 4), "gioo")


# --- quality ----------------------------------------------------------------------------------


def test_quality_loss_on_paper():
    # Logit 0: log 2 whatever the target. Logit log 3, so p = 3/4, target 1: -log 3/4 = 0.287682.
    logits, targets = torch.tensor([0.0, 0.0, math.log(3)]), torch.tensor([0.3, 1.0, 1.0])
    expected = torch.tensor(2 * 0.693147 + 0.287682)
    torch.testing.assert_close(quality_loss(logits, targets), expected, rtol=0, atol=1e-5)


def test_quality_loss_is_least_at_the_target():
    logits = torch.randn(50, dtype=torch.float64, requires_grad=True)
    quality_loss(logits, logits.sigmoid().detach()).backward()
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits))


def test_no_positives_have_no_quality_loss():
    logits = torch.zeros(0, requires_grad=True)
    loss = quality_loss(logits, torch.zeros(0))
    loss.backward()
    assert loss == 0


@pytest.mark.parametrize("gamma", [-1.0, 0.5])
def test_focal_loss_refuses_a_gamma_without_a_bounded_gradient(gamma):
    with pytest.raises(ValueError, match=f"gamma must be 0 or at least 1, got {gamma}"):
        focal_loss(torch.zeros(1, 2), torch.tensor([1]), 0.25, gamma)


def test_focal_loss_of_extreme_logits_has_finite_gradients():
    logits = torch.tensor([[-120.0, 120.0], [120.0, -120.0]], requires_grad=True)
    focal_loss(logits, torch.tensor([1, 1]), 0.25, 1.0).backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("loss_type", LOC_LOSS_TYPES)
def test_the_gradient_waits_for_nothing(loss_type):
    """On a GPU the gradient of `prod` looks at its input: five waits in a step of FCOS R50."""
    pred = torch.rand(3, 4, requires_grad=True)
    nodes, seen = [iou_loss_of(pred, torch.rand(3, 4) + 0.1, loss_type, 0.0).sum().grad_fn], set()
    while nodes:
        node = nodes.pop()
        seen.add(node.name())
        nodes += [before for before, _ in node.next_functions if before is not None]
    assert "MulBackward0" in seen  # the areas
    assert not [name for name in seen if name.startswith(("Prod", "Cumprod"))]
