"""Sliced inference: which tiles an image is cut into, and what their borders do to boxes.

Objects that are a few pixels high in a large image are lost when the image is shrunk to the size
of the network's input. Tiles are shrunk less, or enlarged.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from detectron2.structures import Boxes, pairwise_ioa
from torch import Tensor

from ..modeling.selection import Detections, suppress

MAX_OVERLAP = 0.9  # more would mean hundreds of tiles and find nothing new
# A box that ends so near a tile's border, as a share of the tile's side, counts as cut by it.
BORDER_SHARE = 0.01
# What a larger box of its class must cover of a cut one to replace it, and how sure it must be of
# itself: faint boxes around everything must not take sure ones away.
COVERED_SHARE = 0.7
SCORE_SHARE = 0.5
_ROWS = 256  # cut boxes that are compared with all others at once: bounds the memory


class Region(NamedTuple):
    """A part of an image in px, half-open."""

    x0: int
    y0: int
    x1: int
    y1: int


@dataclass(frozen=True)
class Slicing:
    """How images are cut.

    Attributes:
        size: side of the square tiles, px of the original image.
        overlap: least share of a tile's side that it has in common with its neighbour. An object
            that is no larger than this is whole in at least one tile.
        full_image: look at the whole image once more, for the objects that no tile holds.
    """

    size: int
    overlap: float = 0.2
    full_image: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"the size of slices must be a whole number of px, got {self.size!r}")
        if not 0 <= self.overlap <= MAX_OVERLAP:
            raise ValueError(
                f"the overlap of slices must be in [0, {MAX_OVERLAP}], got {self.overlap}"
            )

    def regions(self, image_size: tuple[int, int]) -> list[Region]:
        """The parts of an image to look at: rows of tiles, then perhaps the whole.

        Args:
            image_size: (h, w) px.

        Returns:
            Regions of one size (but for the whole), which cover the image; one where it fits
            into a tile.
        """
        height, width = image_size
        stride = max(1, math.floor(self.size * (1 - self.overlap)))
        rows, columns = (_intervals(side, self.size, stride) for side in image_size)
        tiles = [Region(x0, y0, x1, y1) for y0, y1 in rows for x0, x1 in columns]
        if self.full_image and len(tiles) > 1:
            tiles.append(Region(0, 0, width, height))
        return tiles


def _intervals(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """Intervals of `size` that cover [0, length), evenly spread, their starts <= `stride` apart."""
    if length <= size:
        return [(0, length)]
    steps = math.ceil((length - size) / stride)
    starts = [i * (length - size) // steps for i in range(steps + 1)]
    return [(start, start + size) for start in starts]


def is_cut(boxes: Tensor, region: Region, image_size: tuple[int, int]) -> Tensor:
    """Which boxes end at a border of their tile inside the image, so may be parts of objects.

    Args:
        boxes: (D, 4) xyxy px of the image, found in `region`.
        region: the tile.
        image_size: (h, w) px.

    Returns:
        Bool (D,).
    """
    height, width = image_size
    margin_x, margin_y = (BORDER_SHARE * n for n in (region.x1 - region.x0, region.y1 - region.y0))
    x0, y0, x1, y1 = boxes.unbind(dim=1)
    cut = torch.zeros_like(x0, dtype=torch.bool)
    if region.x0 > 0:
        cut |= x0 <= region.x0 + margin_x
    if region.y0 > 0:
        cut |= y0 <= region.y0 + margin_y
    if region.x1 < width:
        cut |= x1 >= region.x1 - margin_x
    if region.y1 < height:
        cut |= y1 >= region.y1 - margin_y
    return cut


def without_fragments(boxes: Tensor, scores: Tensor, classes: Tensor, cut: Tensor) -> Tensor:
    """Which boxes stay when cut ones go that a larger box of their class covers.

    The IoU of a part with its object can be small, so non-maximum suppression leaves both. Only
    cut boxes go: a small object in front of a large one of its class is safe.

    Args:
        boxes: (D, 4) xyxy px of the image, of all tiles.
        scores: (D,).
        classes: (D,).
        cut: (D,) bool, from `is_cut`.

    Returns:
        Bool (D,).
    """
    keep = torch.ones_like(cut)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    for rows in cut.nonzero()[:, 0].split(_ROWS):
        # (D, rows): the share of each cut box that lies in each box
        covers = pairwise_ioa(Boxes(boxes), Boxes(boxes[rows])) >= COVERED_SHARE
        covers &= areas[:, None] > areas[rows]
        covers &= classes[:, None] == classes[rows]
        covers &= scores[:, None] >= SCORE_SHARE * scores[rows]
        keep[rows] = ~covers.any(dim=0)
    return keep


def merge(
    found: dict[Region, Detections],
    image_size: tuple[int, int],
    nms_thresh: float,
    max_detections: int,
) -> Detections:
    """The detections of all regions of an image as one.

    Args:
        found: those of each region, px of the image.
        image_size: (h, w) px.
        nms_thresh, max_detections: see `suppress`.

    Returns:
        Detections, best first.
    """
    if len(found) == 1:
        # The detector has suppressed these, before it clipped them, which moves boxes closer.
        nms_thresh = 0
    return suppress(without_cut(found, image_size), nms_thresh, max_detections)


def without_cut(found: dict[Region, Detections], image_size: tuple[int, int]) -> Detections:
    """The detections of all regions but for the parts of whole ones, see `without_fragments`.

    Args:
        found, image_size: as in `merge`.
    """
    if len(found) == 1:
        (only,) = found.values()
        return only
    cut = torch.cat([is_cut(x.boxes, region, image_size) for region, x in found.items()])
    everything = Detections.joined(found.values())
    # First: a cut box with a high score would suppress the whole one.
    keep = without_fragments(everything.boxes, everything.scores, everything.classes, cut)
    return everything.of(keep)
