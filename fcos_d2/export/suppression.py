"""Suppression of whole batches, in operators that every format knows."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import nms


def kept_by_suppression(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor,
    iou_threshold: Tensor | float,
    num_classes: int,
) -> Tensor:
    """Which boxes class-wise non-maximum suppression keeps.

    Args:
        boxes: (N, C, 4) xyxy, px.
        scores: (N, C); boxes of score 0 are not kept.
        classes: (N, C) int64 in [0, K).
        iou_threshold: scalar; above it the weaker box of a class goes.
        num_classes: K.

    Returns:
        (N, C) bool.
    """
    # As in `selection.suppress`: classes, and here images, are moved apart in float64.
    images = torch.arange(boxes.shape[0], device=boxes.device)[:, None]
    groups = (images * num_classes + classes).flatten()
    flat = boxes.flatten(0, 1).double()
    flat = flat - flat.amin(dim=0)[:2].repeat(2)
    apart = flat + (groups * (flat.max() + 1))[:, None]
    # torch.export believes that torchvision's nms keeps at least two boxes. So: two more.
    apart = torch.cat([apart, apart.new_tensor([[-4, -4, -3, -3], [-2, -2, -1, -1]])])
    scores_of_all = F.pad(scores.flatten().double(), (0, 2), value=1.0)
    candidates = (scores_of_all > 0).nonzero()[:, 0]
    keep = nms(apart[candidates], scores_of_all[candidates], float(iou_threshold))
    kept = torch.zeros_like(scores_of_all).index_fill(0, candidates[keep], 1.0) > 0
    return kept[:-2].view(scores.shape)


@torch.library.custom_op("fcos_d2::kept_by_suppression", mutates_args=())
def suppression_operator(
    boxes: Tensor, scores: Tensor, classes: Tensor, iou_threshold: Tensor, num_classes: int
) -> Tensor:
    """The same as one operator, in the place of which ONNX has one of its own."""
    return kept_by_suppression(boxes, scores, classes, iou_threshold, num_classes)


@suppression_operator.register_fake
def _(
    boxes: Tensor, scores: Tensor, classes: Tensor, iou_threshold: Tensor, num_classes: int
) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)
