"""The losses of a batch, from its predictions and what they should have been."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..choices import check_choice
from .geometry import LocationGrid, all_locations, boxes_to_ltrb, centerness, location_strides
from .losses import LOC_LOSS_TYPES, FocalLoss, iou_loss, quality_loss, smoothed_iou
from .matching import Matches, Truth
from .quality_focal import QualityFocalLoss, VarifocalLoss
from .transfer import upload

BOX_QUALITIES = ("ctrness", "iou")


class Targets(NamedTuple):
    """Of N images with R locations each, the P locations that learn a box; all others are
    background.
    """

    num_images: int
    num_locations: int
    positive_idxs: Tensor  # (P,) int64 in [0, N * R), rising
    classes: Tensor  # (P,) int64 in [0, K)
    ltrb_in_strides: Tensor  # (P, 4)
    alignment: Tensor | None  # (P,) in [0, 1], see `Matches`

    @classmethod
    def of_matches(cls, matches: Matches, truth: Truth, grids: list[LocationGrid]) -> "Targets":
        """
        Args:
            matches: what an `Assigner` made of `truth`.
            truth: of N images.
            grids: L grids, with R locations together.
        """
        locations = all_locations(grids, like=truth.boxes)
        strides = location_strides(grids, like=truth.boxes)
        positive_idxs = (matches.matched_idxs >= 0).nonzero()[:, 0]
        gt_idxs, place = matches.matched_idxs[positive_idxs], positive_idxs % len(locations)
        ltrb = boxes_to_ltrb(locations[place], truth.boxes[gt_idxs])
        return cls(
            len(truth.counts),
            len(locations),
            positive_idxs,
            truth.classes[gt_idxs],
            ltrb / strides[place],
            None if matches.alignment is None else matches.alignment[positive_idxs],
        )

    def labels(self, num_classes: int) -> Tensor:
        """(N * R,) int64 in [0, K]; K is background."""
        size = (self.num_images * self.num_locations,)
        labels = self.classes.new_full(size, num_classes)
        labels[self.positive_idxs] = self.classes
        return labels

    def to(self, device: torch.device) -> "Targets":
        """The same on another device; they come from the CPU without an alignment."""
        if self.classes.device == device:
            return self
        idxs, classes, ltrb = upload(
            [self.positive_idxs, self.classes, self.ltrb_in_strides], device
        )
        return self._replace(positive_idxs=idxs, classes=classes, ltrb_in_strides=ltrb)


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """The classification loss, the box loss and, if the head predicts a quality, the quality loss.

    Args:
        cls_loss: `FocalLoss`; or `QualityFocalLoss` or `VarifocalLoss`, whose targets are the exact
            IoU of the predicted with the true box, or its alignment where the assigner gives one.
        box_quality: what the head's quality branch learns, "ctrness" or "iou".
        loc_loss_type: "iou", "linear_iou", "giou", "diou" or "ciou".
        iou_smoothing: square strides added to intersection and union, see `smoothed_iou`.
        centerness_weighted_loc: weigh the box loss of a location by its centerness; not done with
            box_quality "iou", nor with an alignment, which weighs it instead.
        loss_weight_cls, loss_weight_loc, loss_weight_quality: factors of the three losses.

    Raises:
        ValueError: unknown name, or a number out of range.
    """

    cls_loss: FocalLoss | QualityFocalLoss | VarifocalLoss = FocalLoss()
    box_quality: str = "ctrness"
    loc_loss_type: str = "giou"
    iou_smoothing: float = 1.0
    centerness_weighted_loc: bool = True
    loss_weight_cls: float = 1.0
    loss_weight_loc: float = 1.0
    loss_weight_quality: float = 1.0

    def __post_init__(self) -> None:
        check_choice("box_quality", self.box_quality, BOX_QUALITIES)
        check_choice("loc_loss_type", self.loc_loss_type, LOC_LOSS_TYPES)
        if self.iou_smoothing < 0 or (self.iou_smoothing == 0 and self.loc_loss_type == "iou"):
            raise ValueError(
                f"iou_smoothing must be positive, or 0 where loc_loss_type is not 'iou', whose "
                f"logarithm it keeps finite; got {self.iou_smoothing} with {self.loc_loss_type!r}"
            )

    def target_sums(self, targets: Targets, grids: list[LocationGrid]) -> Tensor:
        """What the losses are divided by is made of these, see `LossNormalizers`.

        Args:
            targets: of N images.
            grids: L grids.

        Returns:
            (L + 2,): the positives of each level, their weight in the box loss, and all locations.
        """
        loc_weights = self._loc_weights(targets)
        place, start, num_pos = targets.positive_idxs % targets.num_locations, 0, []
        for grid in grids:
            end = start + grid.num_locations
            num_pos.append(((place >= start) & (place < end)).sum().to(loc_weights))
            start = end
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
            quality_logits: (N, R); None: there is no quality loss.
            targets: of N images.
            normalizers: what classification, box and quality loss are divided by.

        Returns:
            loss_fcos_cls, loss_fcos_loc, and loss_fcos_ctr or loss_fcos_iou, if any.

        Source: arXiv 1904.01355, equation 2; weights and normalisers as in the released models.
        """
        # Indices, because a choice by a mask would wait for a GPU.
        idxs, target = targets.positive_idxs, targets.ltrb_in_strides
        pred = ltrb_in_strides.flatten(0, 1)[idxs]  # (P, 4)
        cls_norm, loc_norm, quality_norm = normalizers

        cls_loss = self._classification(cls_logits.flatten(0, 1), pred, targets)
        loc_loss = iou_loss(pred, target, self.loc_loss_type, self.iou_smoothing)
        loc_loss = (loc_loss * self._loc_weights(targets)).sum()
        losses = {
            "loss_fcos_cls": cls_loss / cls_norm * self.loss_weight_cls,
            "loss_fcos_loc": loc_loss / loc_norm * self.loss_weight_loc,
        }
        if quality_logits is not None:
            name, quality = self._quality(pred, target)
            loss = quality_loss(quality_logits.flatten()[idxs], quality)
            losses[name] = loss / quality_norm * self.loss_weight_quality
        return losses

    def _quality(self, pred: Tensor, target: Tensor) -> tuple[str, Tensor]:
        """Name of the quality loss, and its targets (P,)."""
        if self.box_quality == "iou":
            return "loss_fcos_iou", smoothed_iou(pred.detach(), target, self.iou_smoothing)
        return "loss_fcos_ctr", centerness(target)

    def _loc_weights(self, targets: Targets) -> Tensor:
        """(P,) weights of the positives in the box loss."""
        if targets.alignment is not None:
            return targets.alignment
        target_centerness = centerness(targets.ltrb_in_strides)
        if self.centerness_weighted_loc and self.box_quality != "iou":
            return target_centerness
        return torch.ones_like(target_centerness)

    def _classification(self, cls_logits: Tensor, pred: Tensor, targets: Targets) -> Tensor:
        labels = targets.labels(num_classes=cls_logits.shape[-1])
        if not self.cls_loss.soft_targets:
            return self.cls_loss(cls_logits, labels)
        quality = targets.alignment
        if quality is None:
            quality = smoothed_iou(pred.detach(), targets.ltrb_in_strides, smoothing=0)
        return self.cls_loss(cls_logits, labels, quality, targets.positive_idxs)
