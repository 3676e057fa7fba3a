"""The losses of a batch from its predictions and targets."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .geometry import centerness
from .losses import focal_loss, iou_loss, quality_loss, smoothed_iou
from .normalizers import LossNormalizers
from .quality_focal import quality_focal_loss, varifocal_loss
from .targets import Targets

BOX_QUALITIES = ("ctrness", "iou", "none")
CLS_LOSSES = ("focal", "quality_focal", "varifocal")


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """Options as in `FCOSProposalGenerator`, which checks them."""

    num_classes: int
    cls_loss: str
    focal_alpha: float
    focal_gamma: float
    box_quality: str
    loc_loss_type: str
    iou_smoothing: float
    centerness_weighted_loc: bool
    loss_weight_cls: float
    loss_weight_loc: float
    loss_weight_quality: float

    def loc_weights(self, targets: Targets) -> Tensor:
        """(P,) weights of the positives in the box loss."""
        positive = targets.labels < self.num_classes
        if targets.alignment is not None:
            return targets.alignment[positive]
        target_centerness = centerness(targets.ltrb_in_strides[positive])
        if self.centerness_weighted_loc and self.box_quality != "iou":
            return target_centerness
        return torch.ones_like(target_centerness)

    def losses(
        self,
        cls_logits: Tensor,
        ltrb_in_strides: Tensor,
        quality_logits: Tensor | None,
        targets: Targets,
        normalizers: LossNormalizers,
    ) -> dict[str, Tensor]:
        """Scalars that stay attached to all predictions when there are no positives.

        Args:
            cls_logits: (N, R, K).
            ltrb_in_strides: (N, R, 4).
            quality_logits: (N, R), or None with the quality "none".
            targets: of N images.
            normalizers: what the losses are divided by.

        Returns:
            loss_fcos_cls, loss_fcos_loc, and loss_fcos_ctr or loss_fcos_iou but with "none".

        Source: arXiv 1904.01355, equation 2; weights and normalisers as in the released models.
        """
        labels = targets.labels
        positive = labels < self.num_classes  # (N, R)
        pred, target = ltrb_in_strides[positive], targets.ltrb_in_strides[positive]  # (P, 4)
        loc_weights = self.loc_weights(targets)
        cls_norm, loc_norm, quality_norm = normalizers(positive, loc_weights)

        cls_loss = self._cls_loss(cls_logits.flatten(0, 1), labels.flatten(), pred, target, targets)
        loc_loss = iou_loss(pred, target, self.loc_loss_type, self.iou_smoothing) * loc_weights
        losses = {
            "loss_fcos_cls": cls_loss / cls_norm * self.loss_weight_cls,
            "loss_fcos_loc": loc_loss.sum() / loc_norm * self.loss_weight_loc,
        }
        if self.box_quality != "none":
            if self.box_quality == "iou":
                quality = smoothed_iou(pred.detach(), target, self.iou_smoothing)
            else:
                quality = centerness(target)
            loss = quality_loss(quality_logits[positive], quality)
            name = "loss_fcos_iou" if self.box_quality == "iou" else "loss_fcos_ctr"
            losses[name] = loss / quality_norm * self.loss_weight_quality
        return losses

    def _cls_loss(
        self, cls_logits: Tensor, labels: Tensor, pred: Tensor, target: Tensor, targets: Targets
    ) -> Tensor:
        if self.cls_loss == "focal":
            return focal_loss(cls_logits, labels, self.focal_alpha, self.focal_gamma)
        if targets.alignment is not None:
            quality = targets.alignment[targets.labels < self.num_classes]
        else:
            quality = smoothed_iou(pred.detach(), target, smoothing=0)
        if self.cls_loss == "quality_focal":
            return quality_focal_loss(cls_logits, labels, quality, self.focal_gamma)
        # Its weight of negatives is not that of the focal loss; the paper's serves all.
        return varifocal_loss(cls_logits, labels, quality, gamma=self.focal_gamma)


def check_options(
    *,
    assigner: str,
    cls_loss: str,
    box_quality: str,
    loc_loss_type: str,
    iou_smoothing: float,
    loss_normalizer: str,
    thresh_with_quality: bool,
) -> None:
    """Raises ValueError for options that exclude each other."""
    if iou_smoothing < 0 or (iou_smoothing == 0 and loc_loss_type == "iou"):
        raise ValueError(
            f"iou_smoothing must be positive, or 0 where loc_loss_type is not 'iou', whose "
            f"logarithm it keeps finite; got {iou_smoothing} with {loc_loss_type!r}"
        )
    if box_quality == "none" and thresh_with_quality:
        raise ValueError("thresh_with_quality needs a quality branch, and box_quality is 'none'")
    if assigner == "task_aligned" and cls_loss == "focal":
        raise ValueError(
            "the assigner 'task_aligned' gives soft class targets: it needs cls_loss "
            "'quality_focal' or 'varifocal' (MODEL.FCOS.CLS_LOSS), got 'focal'"
        )
    if assigner == "task_aligned" and loss_normalizer != "fg":
        raise ValueError(
            "the assigner 'task_aligned' divides by the sum of its alignment: it needs "
            f"loss_normalizer 'fg', got {loss_normalizer!r}"
        )
