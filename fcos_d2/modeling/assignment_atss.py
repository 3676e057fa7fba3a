"""Adaptive training sample selection: a box takes the nearest locations that suit it statistically.

Source: arXiv 1912.02424, algorithm 1, with one square anchor for each location.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_area

from .geometry import LocationGrid, boxes_to_ltrb
from .matching import Matches, Truth, best_claim, claims_of_batch

ROUNDING = 1e-6  # by which IoUs that should be equal may differ


@dataclass(frozen=True, kw_only=True)
class ATSSAssigner:
    """The `topk` locations of each level whose distance to the centre of a box is least are its
    candidates (of equal ones the first). A candidate learns the box if it lies strictly inside,
    and if the IoU of box and anchor is at least the mean plus the standard deviation of this IoU
    over the candidates, as of a sample. Of several boxes the one of the highest IoU wins, of equal
    ones the first.

    Where that threshold is larger than all of these IoUs, as for a box inside all anchors of two
    levels, it is the largest of them. The paper's algorithm does not learn such a box, which its
    users found on data of their own (sfzhang15/ATSS, issue 90).

    Args:
        topk: candidates of a level.
        anchor_scale: side of the anchors, strides of their level.

    Raises:
        ValueError: `topk` below 1, or `anchor_scale` not positive.
    """

    topk: int = 9
    anchor_scale: float = 8.0

    num_levels = None
    needs_predictions = False

    def __post_init__(self) -> None:
        if self.topk < 1 or not self.anchor_scale > 0:
            raise ValueError(
                "topk must be at least 1 and anchor_scale positive, got "
                f"{self.topk} and {self.anchor_scale}"
            )

    @torch.no_grad()
    def assign(
        self,
        truth: Truth,
        grids: list[LocationGrid],
        cls_logits: Tensor | None = None,
        ltrb_in_strides: Tensor | None = None,
    ) -> Matches:
        """See `Assigner`."""
        location_idxs, gt_idxs, ious = claims_of_batch(self.claims, truth, grids)
        num_locations = len(truth.counts) * sum(grid.num_locations for grid in grids)
        return Matches(best_claim(location_idxs, gt_idxs, ious, num_locations))

    def claims(self, gt_boxes: Tensor, grids: list[LocationGrid]) -> tuple[Tensor, Tensor, Tensor]:
        """All pairs of a location and a box that suit each other.

        Args:
            gt_boxes: (M, 4) xyxy, px, floating point.
            grids: L grids.

        Returns:
            location_idxs (C,) in [0, R), gt_idxs (C,) in [0, M), and the IoUs (C,) of anchor and
            box.
        """
        idxs_of_levels, centers, ious_of_levels = [], [], []
        first_idx = 0
        for grid in grids:
            idxs, xy = nearest_locations(gt_boxes, grid, self.topk)
            idxs_of_levels.append(idxs + first_idx)
            centers.append(xy)
            ious_of_levels.append(_anchor_ious(xy, self.anchor_scale * grid.stride, gt_boxes))
            first_idx += grid.num_locations
        location_idxs = torch.cat(idxs_of_levels, dim=1)  # (M, C)
        ious = torch.cat(ious_of_levels, dim=1)  # (M, C)
        inside = (boxes_to_ltrb(torch.cat(centers, dim=1), gt_boxes[:, None]) > 0).all(dim=-1)
        # A single candidate has no deviation, and std() warns of an empty batch.
        spread = ious.numel() > len(ious)
        deviation = ious.std(dim=1) if spread else torch.zeros_like(ious[:, 0])
        thresholds = torch.minimum(ious.mean(dim=1) + deviation, ious.amax(dim=1))
        claims = inside & (ious >= thresholds[:, None] - ROUNDING)
        return location_idxs[claims], claims.nonzero()[:, 0], ious[claims]


def nearest_locations(gt_boxes: Tensor, grid: LocationGrid, topk: int) -> tuple[Tensor, Tensor]:
    """The cells of a level that are nearest to the centre of each box.

    Only a window around the centre is looked at, which holds them as long as the centre is within
    the grid.

    Args:
        gt_boxes: (M, 4) xyxy, px.
        grid: of the level.
        topk: how many; all where the level has fewer.

    Returns:
        location_idxs (M, k) int64, nearest first, and their positions (M, k, 2) px.
    """
    centers = (gt_boxes[:, :2] + gt_boxes[:, 2:]) / 2
    # In a corner of the grid the nearest ones fill a quarter of a circle of this radius.
    side = 2 * (math.ceil(math.sqrt(4 * topk / math.pi)) + 1) + 1
    columns = _window(centers[:, 0], grid.width, grid.step[0], grid.offset, side)  # (M, w)
    rows = _window(centers[:, 1], grid.height, grid.step[1], grid.offset, side)  # (M, h)
    cells = torch.stack(
        torch.broadcast_tensors(columns[:, None, :], rows[:, :, None]), dim=-1
    ).flatten(1, 2)  # (M, h * w, 2)
    steps = torch.tensor(grid.step, device=cells.device)
    positions = (cells * steps + grid.offset).to(gt_boxes.dtype)
    distances = (positions - centers[:, None]).square().sum(dim=-1)
    nearest = distances.sort(dim=1, stable=True).indices[:, :topk]
    cells = cells.gather(1, nearest[..., None].expand(-1, -1, 2))
    positions = positions.gather(1, nearest[..., None].expand(-1, -1, 2))
    return cells[..., 1] * grid.width + cells[..., 0], positions


def _window(centers: Tensor, cells: int, step: int, offset: int, side: int) -> Tensor:
    """(M, min(side, cells)) indices around each centre, moved to lie within the grid."""
    side = min(side, cells)
    nearest = ((centers - offset) / step).round().long()
    first = (nearest - side // 2).clamp(0, cells - side)
    return first[:, None] + torch.arange(side, device=centers.device)


def _anchor_ious(centers: Tensor, side: float, gt_boxes: Tensor) -> Tensor:
    """IoU (M, k) of squares around `centers` (M, k, 2) with the box (M, 4) of their row."""
    upper_left = torch.maximum(centers - side / 2, gt_boxes[:, None, :2])
    lower_right = torch.minimum(centers + side / 2, gt_boxes[:, None, 2:])
    intersection = (lower_right - upper_left).clamp(min=0).prod(dim=-1)
    return intersection / (side**2 + box_area(gt_boxes)[:, None] - intersection)
