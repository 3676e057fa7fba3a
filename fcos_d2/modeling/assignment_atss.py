"""Adaptive training sample selection: a box takes the nearest locations that suit it statistically.

Source: arXiv 1912.02424, algorithm 1, with one square anchor for each location.
"""

import math

import torch
from torch import Tensor
from torchvision.ops import box_area

from .geometry import LocationGrid, boxes_to_ltrb

ROUNDING = 1e-6  # by which IoUs that should be equal may differ


@torch.no_grad()
def assign_atss(
    gt_boxes: Tensor,
    grids: list[LocationGrid],
    strides: list[int],
    topk: int = 9,
    anchor_scale: float = 8.0,
    image_idxs: Tensor | None = None,
    num_images: int = 1,
) -> Tensor:
    """The ground-truth box that each location of an image, or of several, learns.

    The `topk` locations of each level whose distance to the centre of a box is least are its
    candidates (of equal ones the first). A candidate learns the box if it lies strictly inside,
    and if the IoU of box and anchor is at least the mean plus the standard deviation of this IoU
    over the candidates, as of a sample. Of several boxes the one of the highest IoU wins, of equal
    ones the first.

    Where that threshold is larger than all of these IoUs, as for a box inside all anchors of two
    levels, it is the largest of them. The paper's algorithm does not learn such a box, which its
    users found on data of their own (sfzhang15/ATSS, issue 90).

    Args:
        gt_boxes: (M, 4) xyxy, px, floating point.
        grids: L grids.
        strides: L ints, px.
        topk: candidates of a level, at least 1.
        anchor_scale: side of the anchors, strides of their level.
        image_idxs, num_images: see `assign_locations`.

    Returns:
        matched_idxs: (N * R,) int64 in [-1, M), see `assign_locations`.
    """
    num_locations = sum(grid.height * grid.width for grid in grids)
    if len(gt_boxes) == 0:
        return gt_boxes.new_full((num_images * num_locations,), -1, dtype=torch.int64)
    location_idxs, centers, ious = [], [], []
    first_idx = 0
    for grid, stride in zip(grids, strides, strict=True):
        idxs, xy = nearest_locations(gt_boxes, grid, topk)
        location_idxs.append(idxs + first_idx)
        centers.append(xy)
        ious.append(_anchor_ious(xy, anchor_scale * stride, gt_boxes))
        first_idx += grid.height * grid.width
    location_idxs, ious = torch.cat(location_idxs, dim=1), torch.cat(ious, dim=1)  # (M, C)
    inside = (boxes_to_ltrb(torch.cat(centers, dim=1), gt_boxes[:, None]) > 0).all(dim=-1)
    # One candidate has no deviation.
    deviation = ious.std(dim=1) if ious.shape[1] > 1 else torch.zeros_like(ious[:, 0])
    thresholds = torch.minimum(ious.mean(dim=1) + deviation, ious.amax(dim=1))
    claims = inside & (ious >= thresholds[:, None] - ROUNDING)
    gt_idxs = claims.nonzero()[:, 0]
    location_idxs = location_idxs[claims]
    if image_idxs is not None:
        location_idxs = location_idxs + image_idxs[gt_idxs] * num_locations
    return best_claim(location_idxs, gt_idxs, ious[claims], num_images * num_locations)


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


def best_claim(
    location_idxs: Tensor, gt_idxs: Tensor, scores: Tensor, num_locations: int
) -> Tensor:
    """For each location the box that claims it with the highest score; of equal ones the first.

    Args:
        location_idxs, gt_idxs: (C,) pairs of a location in [0, R) and a box in [0, M).
        scores: (C,).
        num_locations: R.

    Returns:
        matched_idxs: (R,) int64 in [-1, M).
    """
    order = gt_idxs.argsort(stable=True)
    order = order[scores[order].argsort(descending=True, stable=True)]
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    best = order.new_full((num_locations,), len(order))
    best.scatter_reduce_(0, location_idxs, rank, reduce="amin")
    return torch.cat((gt_idxs[order], order.new_tensor([-1])))[best]
