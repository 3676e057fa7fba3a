"""What every location of an image shall predict, under any of the assigners."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .assignment import assign_locations, targets_of_matches
from .assignment_atss import assign_atss
from .assignment_tal import assign_task_aligned
from .geometry import LocationGrid

ASSIGNERS = ("size_ranges", "atss", "task_aligned")


class Targets(NamedTuple):
    """Of one image; or of N, with N as the first dimension of each field."""

    labels: Tensor  # (R,) int64 in [0, K]; K is background
    ltrb_in_strides: Tensor  # (R, 4); without meaning for background
    alignment: Tensor | None  # (R,) of "task_aligned", see `AlignedMatches`; None of others


@dataclass(frozen=True, kw_only=True)
class TargetMaker:
    """The assigner with its options, those of the others being without effect.

    Args:
        assigner: which locations learn a box: "size_ranges", the paper's rule; "atss" or
            "task_aligned", see `assign_atss` and `assign_task_aligned`.
        num_classes: K.
        strides: L strides, px.
        size_ranges: of "size_ranges", L pairs (lowest, highest) of max(ltrb), px.
        inclusive_size_ranges: a distance equal to a limit belongs to both levels; False: to none.
        center_sampling_radius: only locations so near the box centre are positive, strides; None:
            all within the box.
        atss_topk, atss_anchor_scale: of `assign_atss`.
        tal_topk, tal_alpha, tal_beta: of `assign_task_aligned`.

    Raises:
        ValueError: unknown assigner.
    """

    assigner: str
    num_classes: int
    strides: list[int]
    size_ranges: list[tuple[float, float]]
    inclusive_size_ranges: bool
    center_sampling_radius: float | None
    atss_topk: int
    atss_anchor_scale: float
    tal_topk: int
    tal_alpha: float
    tal_beta: float

    def __post_init__(self) -> None:
        if self.assigner not in ASSIGNERS:
            raise ValueError(f"assigner must be one of {ASSIGNERS}, got {self.assigner!r}")

    @property
    def needs_predictions(self) -> bool:
        return self.assigner == "task_aligned"

    @torch.no_grad()
    def match(self, gt_boxes: Tensor, grids: list[LocationGrid]) -> Tensor:
        """The box that each location learns, of assigners that need no predictions.

        Args:
            gt_boxes: (M, 4) xyxy, px.
            grids: L grids.

        Returns:
            matched_idxs: (R,) int64 in [-1, M).

        Raises:
            ValueError: another assigner.
        """
        if self.assigner == "atss":
            return assign_atss(
                gt_boxes, grids, self.strides, self.atss_topk, self.atss_anchor_scale
            )
        if self.assigner == "size_ranges":
            return assign_locations(
                gt_boxes,
                grids,
                self.strides,
                self.size_ranges,
                self.center_sampling_radius,
                self.inclusive_size_ranges,
            )
        raise ValueError(self._without_predictions())

    @torch.no_grad()
    def targets(
        self,
        gt_boxes: Tensor,
        gt_classes: Tensor,
        grids: list[LocationGrid],
        locations: list[Tensor],
        cls_logits: Tensor | None = None,
        ltrb_in_strides: Tensor | None = None,
    ) -> Targets:
        """The targets of one image.

        Args:
            gt_boxes: (M, 4) xyxy, px.
            gt_classes: (M,) int64 in [0, K).
            grids: L grids.
            locations: L tensors (Hi * Wi, 2), px, of `grids`; the result takes their dtype.
            cls_logits: (R, K), where `needs_predictions`.
            ltrb_in_strides: (R, 4) predicted, likewise.
        """
        gt_boxes = gt_boxes.to(locations[0].dtype)
        alignment = None
        if self.needs_predictions:
            matched_idxs, alignment = assign_task_aligned(
                gt_boxes,
                gt_classes,
                grids,
                torch.cat(locations),
                cls_logits,
                ltrb_in_strides * self._strides_of(locations),
                self.tal_topk,
                self.tal_alpha,
                self.tal_beta,
            )
        else:
            matched_idxs = self.match(gt_boxes, grids)
        labels, target_in_strides = targets_of_matches(
            gt_boxes, gt_classes, matched_idxs, locations, self.strides, self.num_classes
        )
        return Targets(labels, target_in_strides, alignment)

    def batch_targets(
        self,
        truth: list[tuple[Tensor, Tensor]],
        grids: list[LocationGrid],
        locations: list[Tensor],
        cls_logits: Tensor | None = None,
        ltrb_in_strides: Tensor | None = None,
    ) -> Targets:
        """The targets of N images.

        Args:
            truth: N pairs of gt_boxes (M, 4) and gt_classes (M,), as in `targets`.
            grids, locations: see `targets`.
            cls_logits: (N, R, K), where `needs_predictions`.
            ltrb_in_strides: (N, R, 4), likewise.

        Raises:
            ValueError: predictions are needed, and there are none.
        """
        predictions = [()] * len(truth)
        if self.needs_predictions:
            if cls_logits is None or ltrb_in_strides is None:
                raise ValueError(self._without_predictions())
            predictions = zip(cls_logits, ltrb_in_strides, strict=True)
        images = [
            self.targets(*image, grids, locations, *predicted)
            for image, predicted in zip(truth, predictions, strict=True)
        ]
        labels, target_in_strides, alignment = zip(*images, strict=True)
        return Targets(
            torch.stack(labels),
            torch.stack(target_in_strides),
            torch.stack(alignment) if self.needs_predictions else None,
        )

    def _without_predictions(self) -> str:
        return f"the assigner {self.assigner!r} depends on what the model predicts"

    def _strides_of(self, locations: list[Tensor]) -> Tensor:
        """(R, 1) stride of the level of each location, px."""
        levels = zip(locations, self.strides, strict=True)
        return torch.cat([x.new_full((len(x), 1), stride) for x, stride in levels])
