"""Focal loss, the IoU family on distances, and the quality loss.

The functions return sums or values per location. Dividing by a normaliser, which in distributed
training comes from all ranks, is the caller's work.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..choices import check_choice
from .fused_focal import negative_focal_sum

LOC_LOSS_TYPES = ("iou", "linear_iou", "giou", "diou", "ciou")


@dataclass(frozen=True, kw_only=True)
class FocalLoss:
    """The sigmoid focal loss: positive locations learn 1 at their class, and 0 elsewhere.

    Args:
        alpha: weight of the positive class, in [0, 1].
        gamma: focusing exponent, 0 or >= 1 (between them the gradient has no bound).

    Raises:
        ValueError: another `alpha` or `gamma`.

    Source: arXiv 1708.02002, equation 5.
    """

    alpha: float = 0.25
    gamma: float = 2.0

    soft_targets: ClassVar[Literal[False]] = False  # see `quality_focal.py`

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must be in [0, 1], got {self.alpha}")
        if self.gamma != 0 and not self.gamma >= 1:
            raise ValueError(f"gamma must be 0 or at least 1, got {self.gamma}")

    def __call__(self, cls_logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar, the sum over all locations and classes.

        Every entry is first taken as negative; the P entries of positive locations are then
        exchanged. That needs no one-hot matrix of locations x classes. Half precision is computed
        in float32.

        Args:
            cls_logits: (R, K).
            labels: (R,) int64 in [0, K]; K is background.
        """
        total, label_logits = negative_focal_sum(cls_logits, labels, 1 - self.alpha, self.gamma)
        exchanged = self._positive(label_logits) - self._negative(label_logits)
        # A choice by `where` does not wait for a GPU, as one by a mask would.
        positive = labels < cls_logits.shape[1]
        return total + torch.where(positive, exchanged, 0.0).sum()

    def _positive(self, logits: Tensor) -> Tensor:
        return self.alpha * torch.sigmoid(-logits) ** self.gamma * F.softplus(-logits)

    def _negative(self, logits: Tensor) -> Tensor:
        return (1 - self.alpha) * torch.sigmoid(logits) ** self.gamma * F.softplus(logits)


def box_overlap(pred_ltrb: Tensor, target_ltrb: Tensor) -> tuple[Tensor, Tensor]:
    """Overlap of boxes that are given by distances from the same locations.

    Args:
        pred_ltrb: (P, 4) >= 0.
        target_ltrb: (P, 4) > 0, same unit.

    Returns:
        intersection (P,) and union (P,), in the unit squared.
    """
    shared = torch.minimum(pred_ltrb, target_ltrb)
    intersection = _area(shared)
    return intersection, _area(pred_ltrb) + _area(target_ltrb) - intersection


def smoothed_iou(pred_ltrb: Tensor, target_ltrb: Tensor, smoothing: float) -> Tensor:
    """IoU with a constant added to both areas: one square stride in the released models.

    Args:
        pred_ltrb: (P, 4) >= 0, strides.
        target_ltrb: (P, 4) > 0, strides.
        smoothing: square strides, >= 0; 0 gives the exact IoU.

    Returns:
        (P,) in [0, 1]; with smoothing never 0, so that its logarithm is finite for boxes that do
        not overlap.
    """
    intersection, union = box_overlap(pred_ltrb, target_ltrb)
    return (intersection + smoothing) / (union + smoothing)


def iou_loss(pred_ltrb: Tensor, target_ltrb: Tensor, loss_type: str, smoothing: float) -> Tensor:
    """Box regression loss of each positive location, all on `smoothed_iou`.

    Args:
        pred_ltrb: (P, 4) >= 0, strides.
        target_ltrb: (P, 4) > 0, strides.
        loss_type: "iou" -log IoU; "linear_iou" 1 - IoU; "giou", "diou", "ciou" 1 - IoU + penalty.
            The gradient of "ciou" grows like 1 / height for very flat predictions.
        smoothing: of the IoU, see `smoothed_iou`; "iou" needs more than 0.

    Returns:
        (P,) >= 0.

    Raises:
        ValueError: unknown `loss_type`.

    Source: IoU arXiv 1608.01471, GIoU arXiv 1902.09630, DIoU and CIoU arXiv 1911.08287.
    """
    check_choice("loss_type", loss_type, LOC_LOSS_TYPES)
    iou = smoothed_iou(pred_ltrb, target_ltrb, smoothing)
    if loss_type == "iou":
        return -iou.log()
    if loss_type == "linear_iou":
        return 1 - iou
    if loss_type == "giou":
        return 1 - iou + _hull_penalty(pred_ltrb, target_ltrb)
    if loss_type == "diou":
        return 1 - iou + _distance_penalty(pred_ltrb, target_ltrb)
    penalty = _distance_penalty(pred_ltrb, target_ltrb)
    return 1 - iou + penalty + _shape_penalty(pred_ltrb, target_ltrb, iou)  # "ciou"


def quality_loss(quality_logits: Tensor, quality_targets: Tensor) -> Tensor:
    """Sum of the binary cross entropy between predicted and true box quality.

    Args:
        quality_logits: (P,) of centerness or IoU.
        quality_targets: (P,) in [0, 1].

    Returns:
        Scalar.

    Source: arXiv 1904.01355, section 3.3.
    """
    return F.binary_cross_entropy_with_logits(quality_logits, quality_targets, reduction="sum")


def _width_height(ltrb: Tensor) -> Tensor:
    return ltrb[..., :2] + ltrb[..., 2:]


def _area(ltrb: Tensor) -> Tensor:
    # The gradient of `prod` waits for the GPU, to look for zeros.
    width, height = _width_height(ltrb).unbind(dim=-1)
    return width * height


def _hull(pred_ltrb: Tensor, target_ltrb: Tensor) -> Tensor:
    """The smallest box around both (P, 4); it has an area because the target has."""
    return torch.maximum(pred_ltrb, target_ltrb)


def _hull_penalty(pred_ltrb: Tensor, target_ltrb: Tensor) -> Tensor:
    """Share of the hull that neither box covers."""
    hull = _area(_hull(pred_ltrb, target_ltrb))
    _, union = box_overlap(pred_ltrb, target_ltrb)
    return (hull - union) / hull


def _distance_penalty(pred_ltrb: Tensor, target_ltrb: Tensor) -> Tensor:
    """Squared distance of the box centres over the squared diagonal of the hull."""
    # The centre lies (right - left) / 2 to the right of the location, likewise downwards.
    pred_center = (pred_ltrb[..., 2:] - pred_ltrb[..., :2]) / 2
    target_center = (target_ltrb[..., 2:] - target_ltrb[..., :2]) / 2
    distance = (pred_center - target_center).square().sum(dim=-1)
    return distance / _width_height(_hull(pred_ltrb, target_ltrb)).square().sum(dim=-1)


def _shape_penalty(pred_ltrb: Tensor, target_ltrb: Tensor, iou: Tensor) -> Tensor:
    """Difference of the aspect ratios, weighted by a factor that carries no gradient."""
    pred_width, pred_height = _width_height(pred_ltrb).unbind(dim=-1)
    target_width, target_height = _width_height(target_ltrb).unbind(dim=-1)
    # ReLU can predict a box of no height; the smallest number keeps that ratio finite.
    pred_height = pred_height.clamp(min=torch.finfo(pred_height.dtype).eps)
    angle = torch.atan(target_width / target_height) - torch.atan(pred_width / pred_height)
    difference = 4 / math.pi**2 * angle.square()
    with torch.no_grad():
        # The ratio is 0/0 for a perfect prediction, where the difference is 0 as well.
        weight = difference / (1 - iou + difference).clamp(min=torch.finfo(iou.dtype).eps)
    return weight * difference
