"""The losses of a batch from its predictions and targets."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .geometry import centerness
from .losses import LOC_LOSS_TYPES, focal_loss, iou_loss, quality_loss, smoothed_iou
from .quality_focal import quality_focal_loss, varifocal_loss
from .targets import Targets

BOX_QUALITIES = ("ctrness", "iou", "none")
CLS_LOSSES = ("focal", "quality_focal", "varifocal")


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """Which losses there are, and how much each counts.

    Args:
        num_classes: K.
        cls_loss: "focal"; or "quality_focal" or "varifocal", whose targets are the exact IoU of the
            predicted with the true box, or its alignment with the assigner "task_aligned".
        focal_alpha: of the focal loss.
        focal_gamma: exponent of the classification loss, whichever it is; 0 (not with
            "quality_focal") or at least 1.
        box_quality: what the quality branch learns, "ctrness" or "iou"; "none": there is none.
        loc_loss_type: "iou", "linear_iou", "giou", "diou" or "ciou".
        iou_smoothing: square strides added to intersection and union, see `smoothed_iou`.
        centerness_weighted_loc: weigh the box loss of a location by its centerness; never done with
            box_quality "iou", and with "task_aligned", which has weights of its own.
        loss_weight_cls, loss_weight_loc, loss_weight_quality: weights of the three losses.

    Raises:
        ValueError: unknown name, or a number out of range.
    """

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

    def __post_init__(self) -> None:
        for name, value, legal in (
            ("cls_loss", self.cls_loss, CLS_LOSSES),
            ("box_quality", self.box_quality, BOX_QUALITIES),
            ("loc_loss_type", self.loc_loss_type, LOC_LOSS_TYPES),
        ):
            if value not in legal:
                raise ValueError(f"{name} must be one of {legal}, got {value!r}")
        if self.focal_gamma < 1 and (self.focal_gamma != 0 or self.cls_loss == "quality_focal"):
            raise ValueError(
                "focal_gamma must be 0 (not with cls_loss 'quality_focal') or at least 1, got "
                f"{self.focal_gamma} with {self.cls_loss!r}"
            )
        if self.iou_smoothing < 0 or (self.iou_smoothing == 0 and self.loc_loss_type == "iou"):
            raise ValueError(
                f"iou_smoothing must be positive, or 0 where loc_loss_type is not 'iou', whose "
                f"logarithm it keeps finite; got {self.iou_smoothing} with {self.loc_loss_type!r}"
            )

    def target_sums(self, targets: Targets, locations: list[Tensor]) -> Tensor:
        """What the losses are divided by is made of these, see `LossNormalizers`.

        Args:
            targets: of N images.
            locations: L tensors (Hi * Wi, 2).

        Returns:
            (L + 2,): the positives of each level, their weight in the box loss, and all locations.
        """
        loc_weights = self._loc_weights(targets)
        place, start, num_pos = targets.positive_idxs % targets.num_locations, 0, []
        for level in locations:
            within = (place >= start) & (place < start + len(level))
            num_pos.append(within.sum().to(loc_weights))
            start += len(level)
        num_locations = loc_weights.new_full((), targets.num_images * targets.num_locations)
        return torch.stack((*num_pos, loc_weights.sum(), num_locations))

    def losses(
        self,
        cls_logits: Tensor,
        ltrb_in_strides: Tensor,
        quality_logits: Tensor | None,
        targets: Targets,
        normalizers: tuple[Tensor, Tensor, Tensor],
    ) -> dict[str, Tensor]:
        """Scalars that stay attached to all predictions when there are no positives.

        Args:
            cls_logits: (N, R, K).
            ltrb_in_strides: (N, R, 4).
            quality_logits: (N, R), or None with the quality "none".
            targets: of N images.
            normalizers: what classification, box and quality loss are divided by.

        Returns:
            loss_fcos_cls, loss_fcos_loc, and loss_fcos_ctr or loss_fcos_iou but with "none".

        Source: arXiv 1904.01355, equation 2; weights and normalisers as in the released models.
        """
        # Indices, because a choice by a mask would wait for a GPU.
        idxs, target = targets.positive_idxs, targets.ltrb_in_strides
        pred = ltrb_in_strides.flatten(0, 1)[idxs]  # (P, 4)
        cls_norm, loc_norm, quality_norm = normalizers

        cls_loss = self._cls_loss(cls_logits.flatten(0, 1), pred, targets)
        loc_loss = iou_loss(pred, target, self.loc_loss_type, self.iou_smoothing)
        loc_loss = (loc_loss * self._loc_weights(targets)).sum()
        losses = {
            "loss_fcos_cls": cls_loss / cls_norm * self.loss_weight_cls,
            "loss_fcos_loc": loc_loss / loc_norm * self.loss_weight_loc,
        }
        if self.box_quality != "none":
            if self.box_quality == "iou":
                quality = smoothed_iou(pred.detach(), target, self.iou_smoothing)
            else:
                quality = centerness(target)
            loss = quality_loss(quality_logits.flatten()[idxs], quality)
            name = "loss_fcos_iou" if self.box_quality == "iou" else "loss_fcos_ctr"
            losses[name] = loss / quality_norm * self.loss_weight_quality
        return losses

    def _loc_weights(self, targets: Targets) -> Tensor:
        """(P,) weights of the positives in the box loss."""
        if targets.alignment is not None:
            return targets.alignment
        target_centerness = centerness(targets.ltrb_in_strides)
        if self.centerness_weighted_loc and self.box_quality != "iou":
            return target_centerness
        return torch.ones_like(target_centerness)

    def _cls_loss(self, cls_logits: Tensor, pred: Tensor, targets: Targets) -> Tensor:
        labels = targets.labels(self.num_classes)
        if self.cls_loss == "focal":
            return focal_loss(cls_logits, labels, self.focal_alpha, self.focal_gamma)
        quality = targets.alignment
        if quality is None:
            quality = smoothed_iou(pred.detach(), targets.ltrb_in_strides, smoothing=0)
        positive = {"positive_idxs": targets.positive_idxs}
        if self.cls_loss == "quality_focal":
            return quality_focal_loss(cls_logits, labels, quality, self.focal_gamma, **positive)
        # Its weight of negatives is not that of the focal loss; the paper's serves all.
        return varifocal_loss(cls_logits, labels, quality, gamma=self.focal_gamma, **positive)
