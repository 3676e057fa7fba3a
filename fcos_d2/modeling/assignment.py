"""Which location learns which ground-truth box.

A location may learn a box when (1) it lies strictly inside the box, with centre sampling also
strictly inside a window around the box centre, and (2) the longest of its four distances to the
sides is within the size range of its level. Of several such boxes the smallest wins; of equally
small ones the first. Cutting the window to the box is the same as asking for both rectangles, as
other implementations do.

A box can only be claimed by the few cells of its window, so those are enumerated. A matrix of
locations x boxes is never built: it would take gigabytes for a crowded image.

Source: arXiv 1904.01355, section 3.2; centre sampling and ties as in the authors' released models.
"""

import math

import torch
from torch import Tensor

from .geometry import LocationGrid, boxes_to_ltrb


def size_ranges_from_bounds(bounds: list[float]) -> list[tuple[float, float]]:
    """The range of max(ltrb) that each level learns, closed at both ends.

    Args:
        bounds: L - 1 rising limits between neighbouring levels, px, such as [64, 128, 256, 512].

    Returns:
        L pairs (lowest, highest), px; the first lowest is 0, the last highest inf.
    """
    limits = [0.0, *bounds, math.inf]
    if any(low >= high for low, high in zip(limits[:-1], limits[1:], strict=True)):
        raise ValueError(f"size bounds must be positive and rise from level to level, got {bounds}")
    return list(zip(limits[:-1], limits[1:], strict=True))


@torch.no_grad()
def location_targets(
    gt_boxes: Tensor,
    gt_classes: Tensor,
    locations: list[Tensor],
    grids: list[LocationGrid],
    strides: list[int],
    size_ranges: list[tuple[float, float]],
    center_sampling_radius: float | None,
    num_classes: int,
    inclusive_size_ranges: bool = True,
) -> tuple[Tensor, Tensor]:
    """What each location of one image shall predict.

    Args:
        gt_boxes: (M, 4) xyxy, px.
        gt_classes: (M,) int64 in [0, K).
        locations: L tensors (Hi * Wi, 2), px, of `grids`; the result takes their dtype.
        grids, strides, size_ranges, center_sampling_radius: see `assign_locations`.
        num_classes: K.
        inclusive_size_ranges: see `assign_locations`.

    Returns:
        labels: (R,) int64 in [0, K]; K is background.
        ltrb_in_strides: (R, 4), in strides of the level; without meaning for background.
    """
    gt_boxes = gt_boxes.to(locations[0].dtype)
    matched_idxs = assign_locations(
        gt_boxes, grids, strides, size_ranges, center_sampling_radius, inclusive_size_ranges
    )
    return targets_of_matches(gt_boxes, gt_classes, matched_idxs, locations, strides, num_classes)


def targets_of_matches(
    gt_boxes: Tensor,
    gt_classes: Tensor,
    matched_idxs: Tensor,
    locations: list[Tensor],
    strides: list[int],
    num_classes: int,
) -> tuple[Tensor, Tensor]:
    """What each location shall predict that learns the box `matched_idxs` (R,), or none (-1).

    The other arguments and the result are those of `location_targets`.
    """
    # One more row stands for "no box", so that index -1 needs no special case.
    labels = torch.cat((gt_classes, gt_classes.new_tensor([num_classes])))[matched_idxs]
    boxes = torch.cat((gt_boxes, gt_boxes.new_zeros(1, 4)))[matched_idxs]  # (R, 4)
    ltrb = boxes_to_ltrb(torch.cat(locations), boxes).split([len(x) for x in locations])
    scaled = [x / stride for x, stride in zip(ltrb, strides, strict=True)]
    return labels, torch.cat(scaled)


def assign_locations(
    gt_boxes: Tensor,
    grids: list[LocationGrid],
    strides: list[int],
    size_ranges: list[tuple[float, float]],
    center_sampling_radius: float | None = 1.5,
    inclusive_size_ranges: bool = True,
    image_idxs: Tensor | None = None,
    num_images: int = 1,
) -> Tensor:
    """The ground-truth box that each location of an image, or of several, learns.

    Args:
        gt_boxes: (M, 4) xyxy, px, floating point. A box without area is learned nowhere.
        grids: L grids.
        strides: L ints, px, the unit of the radius.
        size_ranges: L pairs (lowest, highest) of max(ltrb), px.
        center_sampling_radius: half side of the window around a box centre, in strides of the
            level; None lets every location inside the box take part.
        inclusive_size_ranges: a distance equal to a limit is within the range.
        image_idxs: (M,) int64 in [0, N), the image of each box; None: there is one image.
        num_images: N.

    Returns:
        matched_idxs: (N * R,) int64 in [-1, M), image after image, level after level, row by row;
            -1 is background.
    """
    num_locations = sum(grid.height * grid.width for grid in grids)
    if len(gt_boxes) == 0:
        return gt_boxes.new_full((num_images * num_locations,), -1, dtype=torch.int64)
    location_idxs, gt_idxs, _ = claims_of_boxes(
        gt_boxes, grids, strides, size_ranges, center_sampling_radius, inclusive_size_ranges
    )
    if image_idxs is not None:
        location_idxs = location_idxs + image_idxs[gt_idxs] * num_locations
    return smallest_claim(location_idxs, gt_idxs, gt_boxes, num_images * num_locations)


def claims_of_boxes(
    gt_boxes: Tensor,
    grids: list[LocationGrid],
    strides: list[int],
    size_ranges: list[tuple[float, float]],
    center_sampling_radius: float | None = 1.5,
    inclusive_size_ranges: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """All pairs of a location and a box that it may learn, before the smallest box wins.

    Args:
        gt_boxes: (M, 4) xyxy, px, M > 0; the others as in `assign_locations`.

    Returns:
        location_idxs (C,) in [0, R), gt_idxs (C,) in [0, M) and levels (C,) in [0, L), all int64.
    """
    device = gt_boxes.device
    sizes = torch.tensor([(grid.width, grid.height) for grid in grids], device=device)  # (L, 2)
    steps = torch.tensor([grid.step for grid in grids], device=device)  # (L, 2)
    offsets = torch.tensor([grid.offset for grid in grids], device=device)[:, None]  # (L, 1)
    ranges = torch.tensor(size_ranges, device=device, dtype=gt_boxes.dtype)  # (L, 2)

    regions = sampling_regions(
        gt_boxes, torch.tensor(strides, device=device), center_sampling_radius
    )
    levels, gt_idxs, cells = enumerate_cells(gt_boxes, regions, sizes, steps, offsets, ranges)

    locations = (cells * steps[levels] + offsets[levels]).to(gt_boxes.dtype)
    inside = (boxes_to_ltrb(locations, regions[levels, gt_idxs]) > 0).all(dim=-1)
    longest = boxes_to_ltrb(locations, gt_boxes[gt_idxs]).amax(dim=-1)
    lowest, highest = ranges[levels].unbind(dim=-1)
    if inclusive_size_ranges:
        claims = inside & (longest >= lowest) & (longest <= highest)  # (C,)
    else:
        claims = inside & (longest > lowest) & (longest < highest)

    level_starts = sizes.prod(dim=-1).cumsum(dim=0) - sizes.prod(dim=-1)
    columns, rows = cells.unbind(dim=-1)
    location_idxs = level_starts[levels] + rows * sizes[levels, 0] + columns
    return location_idxs[claims], gt_idxs[claims], levels[claims]


def sampling_regions(gt_boxes: Tensor, stride: Tensor, radius: float | None) -> Tensor:
    """The open rectangle in which the locations of each level may learn each box.

    Args:
        gt_boxes: (M, 4) xyxy, px.
        stride: (L,) px.
        radius: in strides, or None for the whole box.

    Returns:
        (L, M, 4) xyxy, px: the window around the centre, cut to the box.
    """
    if radius is None:
        return gt_boxes.expand(len(stride), -1, -1)
    centers = (gt_boxes[:, :2] + gt_boxes[:, 2:]) / 2
    half_side = (stride * radius).to(gt_boxes.dtype)[:, None, None]
    upper_left = torch.maximum(centers - half_side, gt_boxes[:, :2])
    lower_right = torch.minimum(centers + half_side, gt_boxes[:, 2:])
    return torch.cat((upper_left, lower_right), dim=-1)


def enumerate_cells(
    gt_boxes: Tensor,
    regions: Tensor,
    sizes: Tensor,
    steps: Tensor,
    offsets: Tensor,
    ranges: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """All cells that could claim a box, a few too many rather than one too few.

    Args:
        gt_boxes: (M, 4) xyxy, px.
        regions: (L, M, 4) xyxy, px, from `sampling_regions`.
        sizes: (L, 2) Wi and Hi, cells.
        steps: (L, 2) x and y px from cell to cell.
        offsets: (L, 1) px of the first cell.
        ranges: (L, 2) of max(ltrb), px.

    Returns:
        levels (C,), gt_idxs (C,) and cells (C, 2) as column and row, C candidates, all int64.
    """
    highest = ranges[:, 1, None, None]
    # The size limit narrows the region further: no side may be farther away than `highest`.
    first_px = torch.maximum(regions[..., :2], gt_boxes[:, 2:] - highest)
    last_px = torch.minimum(regions[..., 2:], gt_boxes[:, :2] + highest)

    # Rounding outwards keeps the exact test, which follows, free of this arithmetic's rounding.
    steps, offsets, sizes = steps[:, None], offsets[:, None], sizes[:, None]  # (L, 1, ...)
    first = ((first_px - offsets) / steps).floor().clamp(min=0)
    last = torch.minimum(((last_px - offsets) / steps).ceil(), sizes - 1)
    extent = (last - first + 1).clamp(min=0).long()  # (L, M, 2)
    # A level whose range starts above the longest side cannot learn the box.
    longest_side = (gt_boxes[:, 2:] - gt_boxes[:, :2]).amax(dim=-1)
    counts = extent.prod(dim=-1) * (longest_side >= ranges[:, :1])  # (L, M)

    counts, first, columns = counts.flatten(), first.flatten(0, 1).long(), extent[..., 0].flatten()
    pairs = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)  # (C,)
    nth = torch.arange(len(pairs), device=counts.device) - (counts.cumsum(0) - counts)[pairs]
    offsets = torch.stack((nth % columns[pairs], nth // columns[pairs]), dim=-1)
    return pairs // len(gt_boxes), pairs % len(gt_boxes), first[pairs] + offsets


def smallest_claim(
    location_idxs: Tensor, gt_idxs: Tensor, gt_boxes: Tensor, num_locations: int
) -> Tensor:
    """For each location the smallest of the boxes that it claims; of equal ones the first.

    Args:
        location_idxs, gt_idxs: (C,) pairs of a location in [0, R) and a box in [0, M).
        gt_boxes: (M, 4) xyxy, px.
        num_locations: R.

    Returns:
        matched_idxs: (R,) int64 in [-1, M).
    """
    areas = (gt_boxes[:, 2:] - gt_boxes[:, :2]).prod(dim=-1)
    # Ranks are integers, so the minimum over them is exact; the stable sort breaks ties by index.
    order = areas.argsort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    best = order.new_full((num_locations,), len(order))
    best.scatter_reduce_(0, location_idxs, rank[gt_idxs], reduce="amin")
    return torch.cat((order, order.new_tensor([-1])))[best]
