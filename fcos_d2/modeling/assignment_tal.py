"""Task-aligned assignment: a box is learned where class and box are predicted best together.

Source: arXiv 2108.07755, section 3.2.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .assignment import claims_of_boxes
from .geometry import LocationGrid, all_locations, boxes_to_ltrb, location_strides
from .losses import smoothed_iou
from .matching import Matches, Truth, best_claim

CHUNK = 64  # boxes whose locations are enumerated at a time, which bounds the memory


@dataclass(frozen=True, kw_only=True)
class TaskAlignedAssigner:
    """Of the locations strictly inside a box, the `topk` with the largest
    p(class) ** alpha x IoU ** beta learn it (of equal ones the first). Of several boxes the one of
    the highest IoU wins, of equal ones the first. The alignment of the locations of a box is then
    scaled so that its largest value is the largest IoU among them.

    Args:
        topk: locations of a box.
        alpha, beta: exponents, >= 0.

    Raises:
        ValueError: `topk` below 1, or an exponent below 0.
    """

    topk: int = 13
    alpha: float = 1.0
    beta: float = 6.0

    num_levels = None
    needs_predictions = True

    def __post_init__(self) -> None:
        if self.topk < 1 or not min(self.alpha, self.beta) >= 0:
            raise ValueError(
                "topk must be at least 1, alpha and beta at least 0, got "
                f"{self.topk}, {self.alpha} and {self.beta}"
            )

    @torch.no_grad()
    def assign(
        self,
        truth: Truth,
        grids: list[LocationGrid],
        cls_logits: Tensor | None = None,
        ltrb_in_strides: Tensor | None = None,
    ) -> Matches:
        """See `Assigner`.

        Raises:
            ValueError: there are no predictions.
        """
        if cls_logits is None or ltrb_in_strides is None:
            raise ValueError("task-aligned assignment depends on what the model predicts")
        pred_ltrb = ltrb_in_strides * location_strides(grids, like=ltrb_in_strides)
        image_truths = zip(
            truth.boxes.split(truth.counts), truth.classes.split(truth.counts), strict=True
        )
        matched_idxs, alignments, first = [], [], 0
        for image, predictions in zip(
            image_truths, zip(cls_logits, pred_ltrb, strict=True), strict=True
        ):
            matched, alignment = self._assign_image(*image, grids, *predictions)
            matched_idxs.append(torch.where(matched < 0, -1, matched + first))
            alignments.append(alignment)
            first += len(image[0])
        return Matches(torch.cat(matched_idxs), torch.cat(alignments))

    def _assign_image(
        self,
        gt_boxes: Tensor,
        gt_classes: Tensor,
        grids: list[LocationGrid],
        cls_logits: Tensor,
        pred_ltrb: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """matched_idxs (R,) in [-1, M) and alignment (R,) of one image.

        Args:
            gt_boxes: (M, 4) xyxy, px.
            gt_classes: (M,) int64 in [0, K).
            grids: L grids.
            cls_logits: (R, K).
            pred_ltrb: (R, 4) >= 0, px.
        """
        alignment = torch.zeros_like(pred_ltrb[:, 0])
        if len(gt_boxes) == 0:
            return torch.full_like(alignment, -1, dtype=torch.int64), alignment
        locations, chunks = all_locations(grids, like=pred_ltrb), []
        anywhere = [(0.0, math.inf)] * len(grids)
        for part in torch.arange(len(gt_boxes), device=gt_boxes.device).split(CHUNK):
            location_idxs, gt_idxs, _ = claims_of_boxes(gt_boxes[part], grids, anywhere, None, True)
            gt_idxs = part[gt_idxs]
            target_ltrb = boxes_to_ltrb(locations[location_idxs], gt_boxes[gt_idxs])
            # In float64, because a small IoU to the power of 6 is 0 in float32.
            ious = smoothed_iou(pred_ltrb[location_idxs], target_ltrb, smoothing=0).double()
            probabilities = cls_logits[location_idxs, gt_classes[gt_idxs]].sigmoid().double()
            scores = probabilities**self.alpha * ious**self.beta
            shape = len(part), len(locations)
            best = best_of_each(gt_idxs - part[0], location_idxs, scores, self.topk, shape)
            chunks.append([field[best] for field in (location_idxs, gt_idxs, ious, scores)])
        location_idxs, gt_idxs, ious, scores = (torch.cat(x) for x in zip(*chunks, strict=True))

        matched_idxs = best_claim(location_idxs, gt_idxs, ious, len(locations))
        won = matched_idxs[location_idxs] == gt_idxs
        normalised = normalised_alignment(gt_idxs[won], ious[won], scores[won], len(gt_boxes))
        alignment[location_idxs[won]] = normalised.to(alignment.dtype)
        return matched_idxs, alignment


def best_of_each(
    gt_idxs: Tensor, location_idxs: Tensor, scores: Tensor, topk: int, shape: tuple[int, int]
) -> Tensor:
    """Which of C pairs have one of the `topk` largest scores of their box; of equal ones the first.

    Args:
        gt_idxs, location_idxs: (C,) in [0, M) and [0, R), no pair twice.
        scores: (C,) >= 0.
        topk: at least 1.
        shape: M and R.

    Returns:
        Indices of pairs, int64, box after box.
    """
    # Only the few pairs that reach the last of the `topk` scores of their box are sorted.
    of_box = scores.new_full(shape, -1)
    of_box[gt_idxs, location_idxs] = scores
    last = of_box.topk(min(topk, shape[1]), dim=1).values[:, -1]
    reaching = (scores >= last[gt_idxs]).nonzero()[:, 0]
    gt_idxs, scores = gt_idxs[reaching], scores[reaching]
    order = scores.argsort(descending=True, stable=True)
    order = order[gt_idxs[order].argsort(stable=True)]
    _, counts = gt_idxs[order].unique_consecutive(return_counts=True)
    starts = (counts.cumsum(0) - counts).repeat_interleave(counts)
    return reaching[order[torch.arange(len(order), device=order.device) - starts < topk]]


def normalised_alignment(gt_idxs: Tensor, ious: Tensor, scores: Tensor, num_boxes: int) -> Tensor:
    """Scores of C pairs, scaled so that the largest of each box is its largest IoU.

    Args:
        gt_idxs, ious, scores: (C,).
        num_boxes: M.

    Returns:
        (C,) in [0, 1]; 0 where no prediction overlaps the box.
    """
    best_iou, best_score = (
        x.new_zeros(num_boxes).scatter_reduce_(0, gt_idxs, x, reduce="amax") for x in (ious, scores)
    )
    share = scores / best_score[gt_idxs].clamp(min=torch.finfo(scores.dtype).tiny)
    return share * best_iou[gt_idxs]
