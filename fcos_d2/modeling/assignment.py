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

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .geometry import LocationGrid, boxes_to_ltrb
from .matching import Matches, Truth, claims_of_batch


@dataclass(frozen=True, kw_only=True)
class SizeRangeAssigner:
    """The paper's rule: each level learns boxes of its range of sizes, near their centre.

    Args:
        size_bounds: L - 1 rising limits of max(ltrb) between neighbouring levels, px.
        inclusive_size_ranges: a distance that equals a limit belongs to both levels; False: to
            neither.
        center_sampling_radius: half side of the window around a box centre in which locations
            learn the box, strides of the level; None: all within the box do.

    Raises:
        ValueError: limits that do not rise, or a radius that is not positive.
    """

    size_bounds: Sequence[float] = (64, 128, 256, 512)
    inclusive_size_ranges: bool = True
    center_sampling_radius: float | None = 1.5

    needs_predictions = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "size_bounds", tuple(self.size_bounds))  # lists can be changed
        limits = [0.0, *self.size_bounds, math.inf]
        if any(low >= high for low, high in itertools.pairwise(limits)):
            raise ValueError(
                "size_bounds must be positive and rise from level to level, got "
                f"{list(self.size_bounds)}"
            )
        if self.center_sampling_radius is not None and not self.center_sampling_radius > 0:
            raise ValueError(
                f"center_sampling_radius must be positive, or None for no centre sampling, got "
                f"{self.center_sampling_radius}"
            )

    @property
    def num_levels(self) -> int:
        return len(self.size_bounds) + 1

    @property
    def size_ranges(self) -> list[tuple[float, float]]:
        """L pairs (lowest, highest) of max(ltrb), px; the first lowest is 0, the last highest
        inf.
        """
        limits = [0.0, *self.size_bounds, math.inf]
        return list(itertools.pairwise(limits))

    @torch.no_grad()
    def assign(
        self,
        truth: Truth,
        grids: list[LocationGrid],
        cls_logits: Tensor | None = None,
        ltrb_in_strides: Tensor | None = None,
    ) -> Matches:
        """See `Assigner`; the smallest of the boxes wins, and of equally small ones the first."""
        location_idxs, gt_idxs, _ = claims_of_batch(self.claims, truth, grids)
        num_locations = len(truth.counts) * sum(grid.num_locations for grid in grids)
        return Matches(smallest_claim(location_idxs, gt_idxs, truth.boxes, num_locations))

    def claims(self, gt_boxes: Tensor, grids: list[LocationGrid]) -> tuple[Tensor, Tensor, Tensor]:
        """All pairs of a location and a box that it may learn, see `claims_of_boxes`."""
        return claims_of_boxes(
            gt_boxes,
            grids,
            self.size_ranges,
            self.center_sampling_radius,
            self.inclusive_size_ranges,
        )


def claims_of_boxes(
    gt_boxes: Tensor,
    grids: list[LocationGrid],
    size_ranges: list[tuple[float, float]],
    center_sampling_radius: float | None,
    inclusive_size_ranges: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """All pairs of a location and a box that it may learn, before the smallest box wins.

    Args:
        gt_boxes: (M, 4) xyxy, px, floating point.
        grids: L grids.
        size_ranges: L pairs (lowest, highest) of max(ltrb), px.
        center_sampling_radius, inclusive_size_ranges: see `SizeRangeAssigner`.

    Returns:
        location_idxs (C,) in [0, R), gt_idxs (C,) in [0, M) and levels (C,) in [0, L), all int64.
    """
    device = gt_boxes.device
    sizes = torch.tensor([(grid.width, grid.height) for grid in grids], device=device)  # (L, 2)
    steps = torch.tensor([grid.step for grid in grids], device=device)  # (L, 2)
    offsets = torch.tensor([grid.offset for grid in grids], device=device)[:, None]  # (L, 1)
    ranges = torch.tensor(size_ranges, device=device, dtype=gt_boxes.dtype)  # (L, 2)

    strides = torch.tensor([grid.stride for grid in grids], device=device)  # (L,)
    regions = sampling_regions(gt_boxes, strides, center_sampling_radius)
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
    num_boxes = max(len(gt_boxes), 1)
    return pairs // num_boxes, pairs % num_boxes, first[pairs] + offsets


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
