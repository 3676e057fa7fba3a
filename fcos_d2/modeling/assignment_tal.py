"""Task-aligned assignment: a box is learned where class and box are predicted best together.

Source: arXiv 2108.07755, section 3.2.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .assignment import claims_of_boxes
from .assignment_atss import best_claim
from .geometry import LocationGrid, boxes_to_ltrb
from .losses import smoothed_iou

CHUNK = 64  # boxes whose locations are enumerated at a time, which bounds the memory


class AlignedMatches(NamedTuple):
    """What each of the R locations of an image learns."""

    matched_idxs: Tensor  # (R,) int64 in [-1, M); -1 is background
    alignment: Tensor  # (R,) in [0, 1], 0 for background


@torch.no_grad()
def assign_task_aligned(
    gt_boxes: Tensor,
    gt_classes: Tensor,
    grids: list[LocationGrid],
    locations: Tensor,
    cls_logits: Tensor,
    pred_ltrb: Tensor,
    topk: int = 13,
    alpha: float = 1.0,
    beta: float = 6.0,
) -> AlignedMatches:
    """The ground-truth box that each location of an image learns, and how well it does already.

    Of the locations strictly inside a box, the `topk` with the largest
    p(class) ** alpha x IoU ** beta learn it (of equal ones the first). Of several boxes the one of
    the highest IoU wins, of equal ones the first. The alignment of the locations of a box is then
    scaled so that its largest value is the largest IoU among them.

    Args:
        gt_boxes: (M, 4) xyxy, px, floating point.
        gt_classes: (M,) int64 in [0, K).
        grids: L grids.
        locations: (R, 2) of these grids, px.
        cls_logits: (R, K).
        pred_ltrb: (R, 4) >= 0, px.
        topk: locations of a box.
        alpha, beta: exponents.
    """
    if len(gt_boxes) == 0:
        nothing = torch.full_like(cls_logits[:, 0], -1, dtype=torch.int64)
        return AlignedMatches(nothing, torch.zeros_like(pred_ltrb[:, 0]))
    anywhere = [(0.0, math.inf)] * len(grids)
    strides = [grid.step[0] for grid in grids]  # without centre sampling they mean nothing
    chunks = []
    for part in torch.arange(len(gt_boxes), device=gt_boxes.device).split(CHUNK):
        location_idxs, gt_idxs, _ = claims_of_boxes(
            gt_boxes[part], grids, strides, anywhere, center_sampling_radius=None
        )
        gt_idxs = part[gt_idxs]
        target_ltrb = boxes_to_ltrb(locations[location_idxs], gt_boxes[gt_idxs])
        # In float64, because a small IoU to the power of 6 is 0 in float32.
        ious = smoothed_iou(pred_ltrb[location_idxs], target_ltrb, smoothing=0).double()
        probabilities = cls_logits[location_idxs, gt_classes[gt_idxs]].sigmoid().double()
        scores = probabilities**alpha * ious**beta
        shape = len(part), len(locations)
        best = best_of_each(gt_idxs - part[0], location_idxs, scores, topk, shape)
        chunks.append([field[best] for field in (location_idxs, gt_idxs, ious, scores)])
    location_idxs, gt_idxs, ious, scores = (torch.cat(x) for x in zip(*chunks, strict=True))

    matched_idxs = best_claim(location_idxs, gt_idxs, ious, len(locations))
    won = matched_idxs[location_idxs] == gt_idxs
    alignment = pred_ltrb.new_zeros(len(locations))
    normalised = normalised_alignment(gt_idxs[won], ious[won], scores[won], len(gt_boxes))
    alignment[location_idxs[won]] = normalised.to(alignment.dtype)
    return AlignedMatches(matched_idxs, alignment)


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
