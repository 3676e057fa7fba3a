"""From head outputs of one image to its final boxes.

Threshold and top-k run per level, non-maximum suppression per class over all levels together.
Boxes are not clipped here unless asked for: clipping changes which boxes overlap.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image

from .geometry import ltrb_to_boxes


class Detections(NamedTuple):
    """D boxes of one image, best first once `suppress` has run."""

    boxes: Tensor  # (D, 4) xyxy px, not clipped
    scores: Tensor  # (D,) in (0, 1], see `select_detections`
    classes: Tensor  # (D,) int64 in [0, K)
    location_idxs: Tensor  # (D,) int64 in [0, R), the location that predicted the box


def select_detections(
    locations: list[Tensor],
    cls_logits: list[Tensor],
    ltrb: list[Tensor],
    quality_logits: list[Tensor],
    *,
    score_thresh: float,
    thresh_with_quality: bool,
    topk_candidates: int,
    nms_thresh: float,
    max_detections: int,
    clip_size: tuple[int, int] | None = None,
) -> Detections:
    """The detections of one image.

    Args:
        locations: L tensors (Hi * Wi, 2), px.
        cls_logits: L tensors (Hi * Wi, K).
        ltrb: L tensors (Hi * Wi, 4), px.
        quality_logits: L tensors (Hi * Wi,) of centerness or IoU, and scores are the geometric mean
            of class and quality probability; no tensors: they are the class probability.
        score_thresh: candidates need a class probability above it, in [0, 1).
        thresh_with_quality: compare class x quality probability with it instead.
        topk_candidates: candidates kept per level.
        nms_thresh: IoU above which the weaker box of a class goes; <= 0 switches suppression off.
        max_detections: kept per image; <= 0 keeps all.
        clip_size: height and width, px, that boxes are clipped to before suppression; None: they
            are not clipped.

    Returns:
        Detections, best first.

    Raises:
        ValueError: `thresh_with_quality` without quality logits.

    Source: arXiv 1904.01355, section 3.3; order of the steps as in the authors' released models.
    """
    if thresh_with_quality and not quality_logits:
        raise ValueError("thresh_with_quality needs quality logits, and there are none")
    candidates = []
    first_idx = 0
    quality = quality_logits or [None] * len(locations)
    for level_inputs in zip(locations, cls_logits, ltrb, quality, strict=True):
        level = level_candidates(*level_inputs, score_thresh, thresh_with_quality, topk_candidates)
        candidates.append(level._replace(location_idxs=level.location_idxs + first_idx))
        first_idx += len(level_inputs[0])
    merged = Detections(*(torch.cat(field) for field in zip(*candidates, strict=True)))
    if clip_size is not None:
        merged = merged._replace(boxes=clip_boxes_to_image(merged.boxes, clip_size))
    return suppress(merged, nms_thresh, max_detections)


def level_candidates(
    locations: Tensor,
    cls_logits: Tensor,
    ltrb: Tensor,
    quality_logits: Tensor | None,
    score_thresh: float,
    thresh_with_quality: bool,
    topk_candidates: int,
) -> Detections:
    """The best pairs of location and class on one level; arguments as in `select_detections`.

    One location may give several classes. Of equal scores at the cut, exactly as many are kept as
    `topk_candidates` allows.
    """
    # Comparing logits spares a sigmoid for every class of every location.
    location_idxs, classes = (cls_logits > _logit(score_thresh)).nonzero(as_tuple=True)
    products = cls_logits[location_idxs, classes].sigmoid()
    if quality_logits is not None:
        products = products * quality_logits[location_idxs].sigmoid()
    if thresh_with_quality:
        # The product is below the class probability, so the first comparison lost nothing.
        above = products > score_thresh
        location_idxs, classes, products = location_idxs[above], classes[above], products[above]
    products, best = products.topk(min(topk_candidates, len(products)))
    location_idxs, classes = location_idxs[best], classes[best]
    boxes = ltrb_to_boxes(locations[location_idxs], ltrb[location_idxs])
    scores = products if quality_logits is None else products.sqrt()
    return Detections(boxes, scores, classes, location_idxs)


def suppress(detections: Detections, nms_thresh: float, max_detections: int) -> Detections:
    """Class-wise non-maximum suppression, then the best `max_detections`, best first."""
    if nms_thresh > 0:
        # torchvision separates the classes by shifting boxes far apart. That wants coordinates
        # >= 0, and costs float32 boxes up to a hundredth of a pixel; it also wants boxes and
        # scores of one dtype. So: move to the origin and widen both.
        boxes, scores = detections.boxes.double(), detections.scores.double()
        origin = boxes[:, :2].amin(dim=0) if len(boxes) else boxes.new_zeros(2)
        keep = batched_nms(boxes - origin.repeat(2), scores, detections.classes, nms_thresh)
    else:
        keep = detections.scores.argsort(descending=True, stable=True)
    if max_detections > 0:
        keep = keep[:max_detections]
    return Detections(*(field[keep] for field in detections))


def _logit(probability: float) -> float:
    if probability <= 0:
        return -math.inf
    return math.inf if probability >= 1 else math.log(probability / (1 - probability))
