"""From head outputs of one image to its final boxes.

Threshold and top-k run per level, non-maximum suppression per class over all levels together.
Boxes are not clipped here unless asked for: clipping changes which boxes overlap.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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

    @classmethod
    def joined(cls, parts: Iterable["Detections"]) -> "Detections":
        """Several as one, one after the other."""
        return cls._make(map(torch.cat, zip(*parts, strict=True)))

    def of(self, keep: Tensor | slice) -> "Detections":
        """Those at some positions, or where a mask is true."""
        return Detections._make(field[keep] for field in self)

    def above(self, min_scores: Sequence[float] | None) -> "Detections":
        """Those that score at least what their class (K) asks for; None: any."""
        if min_scores is None:
            return self
        return self.of(self.scores >= self.scores.new_tensor(min_scores)[self.classes])

    def best(self, number: int) -> "Detections":
        """The first so many; <= 0: all."""
        return self.of(slice(number)) if number > 0 else self


class Predictions(NamedTuple):
    """What a detector predicts at the locations of one image: lists of L tensors."""

    locations: list[Tensor]  # (Hi * Wi, 2), px
    cls_logits: list[Tensor]  # (Hi * Wi, K)
    ltrb: list[Tensor]  # (Hi * Wi, 4), px
    quality_logits: list[Tensor]  # (Hi * Wi,) of centerness or IoU; no tensors without the branch


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which predictions become detections; `dataclasses.replace` makes one with other values.

    Args:
        score_thresh: candidates need a class probability above it, in [0, 1].
        thresh_with_quality: compare class x quality probability with it instead.
        min_scores: lowest score of a detection of each class, K numbers in [0, 1], on top of these;
            None: any. What scores less does not take a place among the candidates or detections.
        topk_candidates: candidates kept per level.
        nms_thresh: IoU above which the weaker box of a class goes; <= 0 switches suppression off.
        max_detections: kept per image; <= 0 keeps all.
        clip_before_nms: clip boxes to the image before suppression, not only after it.

    Raises:
        ValueError: a number out of range.
    """

    score_thresh: float = 0.05
    thresh_with_quality: bool = False
    min_scores: tuple[float, ...] | None = None
    topk_candidates: int = 1000
    nms_thresh: float = 0.6
    max_detections: int = 100
    clip_before_nms: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.score_thresh <= 1:
            raise ValueError(f"score_thresh must be in [0, 1], got {self.score_thresh}")
        if self.min_scores is not None and not all(0 <= x <= 1 for x in self.min_scores):
            raise ValueError(f"min_scores must be in [0, 1], got {self.min_scores}")
        if self.topk_candidates < 1:
            raise ValueError(f"topk_candidates must be at least 1, got {self.topk_candidates}")


def select_detections(
    locations: list[Tensor],
    cls_logits: list[Tensor],
    ltrb: list[Tensor],
    quality_logits: list[Tensor],
    selection: Selection,
    image_size: tuple[int, int],
    as_proposals: bool = False,
) -> Detections:
    """The detections of one image.

    Args:
        locations, cls_logits, ltrb, quality_logits: see `Predictions`. Scores are the geometric
            mean of class and quality probability; without a quality the class probability.
        selection: thresholds and limits.
        image_size: height and width, px.
        as_proposals: clip boxes to the image before suppression, and take only those with an area
            there as candidates: as detectron2's RPN does, which second stages are made for.

    Returns:
        Detections, best first.

    Raises:
        ValueError: `thresh_with_quality` without quality logits.

    Source: arXiv 1904.01355, section 3.3; order of the steps as in the authors' released models.
    """
    if selection.thresh_with_quality and not quality_logits:
        raise ValueError("thresh_with_quality needs quality logits, and there are none")
    if as_proposals:
        cls_logits = _where_boxes_have_area(locations, cls_logits, ltrb, image_size)
    candidates = best_candidates(locations, cls_logits, ltrb, quality_logits, selection)
    if as_proposals or selection.clip_before_nms:
        candidates = clipped(candidates, image_size)
    return suppress(candidates, selection.nms_thresh, selection.max_detections)


def clipped(detections: Detections, image_size: tuple[int, int]) -> Detections:
    """The same with their boxes cut to an image of this height and width, px."""
    return detections._replace(boxes=clip_boxes_to_image(detections.boxes, image_size))


def _where_boxes_have_area(
    locations: list[Tensor],
    cls_logits: list[Tensor],
    ltrb: list[Tensor],
    image_size: tuple[int, int],
) -> list[Tensor]:
    """`cls_logits` that are -inf, which is above no threshold, where a box has no area in the
    image.
    """
    masked = []
    for points, logits, distances in zip(locations, cls_logits, ltrb, strict=True):
        boxes = clip_boxes_to_image(ltrb_to_boxes(points, distances), image_size)
        has_area = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        masked.append(logits.masked_fill(~has_area[:, None], -math.inf))
    return masked


def best_candidates(
    locations: list[Tensor],
    cls_logits: list[Tensor],
    ltrb: list[Tensor],
    quality_logits: list[Tensor],
    selection: Selection,
) -> Detections:
    """The best pairs of location and class of each level, level after level, best first.

    One location may give several classes. Of equal scores at the cut, exactly as many are kept as
    `topk_candidates` allows. All levels go through the same few steps: a GPU is waited for where
    the number of candidates, and that of those kept, must be known, not at every level.

    Args:
        locations, cls_logits, ltrb, quality_logits, selection: see `select_detections`.
    """
    # Comparing logits spares a sigmoid for every class of every location.
    # The product is below the class probability, so that is compared first in any case.
    above = torch.cat([x > _logit(selection.score_thresh) for x in cls_logits])
    location_idxs, classes = above.nonzero(as_tuple=True)
    products = torch.cat(cls_logits)[location_idxs, classes].sigmoid()
    if quality_logits:
        products = products * torch.cat(quality_logits)[location_idxs].sigmoid()
    if selection.min_scores is not None:
        lowest = products.new_tensor(selection.min_scores)[classes]
        enough = (products.sqrt() if quality_logits else products) >= lowest
        location_idxs, classes = location_idxs[enough], classes[enough]
        products = products[enough]
    levels = torch.cat([x.new_full((len(x),), i, dtype=torch.int64) for i, x in enumerate(ltrb)])
    order, products = best_of_groups(
        products, levels[location_idxs], len(ltrb), selection.topk_candidates
    )
    if selection.thresh_with_quality and selection.score_thresh > 0:
        above = products > selection.score_thresh
        order, products = order[above], products[above]
    location_idxs, classes = location_idxs[order], classes[order]
    boxes = ltrb_to_boxes(torch.cat(locations)[location_idxs], torch.cat(ltrb)[location_idxs])
    scores = products.sqrt() if quality_logits else products
    return Detections(boxes, scores, classes, location_idxs)


def best_of_groups(
    values: Tensor, groups: Tensor, num_groups: int, topk: int
) -> tuple[Tensor, Tensor]:
    """The `topk` highest values of each group, or all of a smaller one.

    Args:
        values: (C,) >= 0.
        groups: (C,) int64 in [0, num_groups).

    Returns:
        Their indices in [0, C) and values, group after group, from the highest.
    """
    members = groups == torch.arange(num_groups, device=groups.device)[:, None]  # (groups, C)
    best, order = torch.where(members, values, -1.0).topk(min(topk, len(values)), dim=1)
    found = (best >= 0).flatten().nonzero()[:, 0]
    return order.flatten()[found], best.flatten()[found]


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
    return detections.of(keep)


def _logit(probability: float) -> float:
    if probability <= 0:
        return -math.inf
    return math.inf if probability >= 1 else math.log(probability / (1 - probability))
