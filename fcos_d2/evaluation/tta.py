"""Test-time augmentation: an image in several sizes, and mirrored, and what they say together."""

from dataclasses import dataclass

import torch
from detectron2.data import transforms as T
from torchvision.ops import box_iou

from ..modeling.selection import Detections, suppress

# Sizes of the network's input over that of the plain evaluation, where none are named.
DEFAULT_SCALES = (0.8, 1.0, 1.25)


@dataclass(frozen=True)
class FlipsAndScales:
    """What each image is turned into.

    Attributes:
        min_sizes: short sides of the network's input, px; empty for DEFAULT_SCALES times the size
            of the plain evaluation.
        max_size: limit of the long side, px; with empty `min_sizes` that of the plain evaluation,
            scaled, holds instead.
        flip: add the mirror image of each size.
    """

    min_sizes: tuple[int, ...] = ()
    max_size: int = 4000
    flip: bool = True

    def __post_init__(self) -> None:
        if any(size < 1 for size in self.min_sizes):
            raise ValueError(
                f"the sizes of test-time augmentation must be positive, got {[*self.min_sizes]}"
            )

    def variants(self, augmentations: list[T.Augmentation]) -> list[list[T.Augmentation]]:
        """The augmentations of the test mapper once for each size.

        Args:
            augmentations: those of the plain evaluation, with a ResizeShortestEdge to one size.

        Raises:
            ValueError: there is no such resize.
        """
        resizes = [a for a in augmentations if isinstance(a, T.ResizeShortestEdge)]
        if len(resizes) != 1:
            raise ValueError(
                "test-time augmentation changes the ResizeShortestEdge of the test mapper, "
                f"of which there must be one; there are {len(resizes)}"
            )
        return [
            [resized if a is resizes[0] else a for a in augmentations]
            for resized in self._resizes(resizes[0])
        ]

    def _resizes(self, plain: T.ResizeShortestEdge) -> list[T.ResizeShortestEdge]:
        if self.min_sizes:
            sizes = [(size, self.max_size) for size in self.min_sizes]
        else:
            short = plain.short_edge_length[0]
            if short == 0:
                raise ValueError(
                    "the plain evaluation does not resize: name the sizes of test-time augmentation"
                )
            sizes = [(round(short * s), round(plain.max_size * s)) for s in DEFAULT_SCALES]
        return [type(plain)([short], limit, "choice", plain.interp) for short, limit in sizes]


def vote(found: list[Detections], nms_thresh: float) -> Detections:
    """Detections of one picture from several views of it, as one.

    Boxes of a class that overlap the best of them are one object. Its box is their mean, weighted
    by the scores; its score is the mean over the views, 0 for those that missed it. Keeping the
    best score of all views instead would raise the false ones, for each view has its own.

    Args:
        found: one for each view, in px of the picture.
        nms_thresh: IoU above which two boxes are one object; <= 0: none are.

    Returns:
        Detections, in no order.
    """
    if len(found) == 1:
        return found[0]
    everything = Detections.joined(found)
    best = suppress(everything, nms_thresh, max_detections=0)
    if nms_thresh <= 0 or len(best.boxes) == 0:
        return best
    views = torch.cat([torch.full_like(x.classes, v) for v, x in enumerate(found)])
    overlaps = box_iou(everything.boxes, best.boxes)  # (all, best)
    overlaps[everything.classes[:, None] != best.classes] = -1
    objects = overlaps.argmax(dim=1)
    weights = everything.scores
    boxes = torch.zeros_like(best.boxes)
    boxes.index_add_(0, objects, everything.boxes * weights[:, None])
    total = torch.zeros_like(best.scores).index_add_(0, objects, weights)
    by_view = weights.new_zeros(len(best.boxes) * len(found))
    by_view.scatter_reduce_(0, objects * len(found) + views, weights, "amax")
    return best._replace(
        boxes=boxes / total[:, None], scores=by_view.view(-1, len(found)).mean(dim=1)
    )
