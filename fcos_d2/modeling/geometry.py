"""Locations on the feature maps, boxes, and the distances between the two.

Everything is in pixels of the network input unless a name says `in_strides`.
"""

from typing import NamedTuple

import torch
from torch import Tensor

LOCATION_RULES = ("center", "corner")


class LocationGrid(NamedTuple):
    """The input pixels that the cells of one level stand for: index * step + offset."""

    height: int  # cells
    width: int  # cells
    step: tuple[int, int]  # x, y px between neighbouring cells
    offset: int  # px of the first cell, x and y alike
    stride: int  # px, the unit of the level's distances

    @property
    def num_locations(self) -> int:
        return self.height * self.width

    @classmethod
    def of_level(cls, height: int, width: int, stride: int) -> "LocationGrid":
        """The default rule "center": every cell stands for the middle of its stride.

        Source: arXiv 1904.01355, section 3.1.
        """
        return cls(height, width, (stride, stride), stride // 2, stride)


def level_sizes(padded_size: tuple[int, int], strides: list[int]) -> list[tuple[int, int]]:
    """The sizes (Hi, Wi) of L feature maps, cells.

    Args:
        padded_size: height and width of the batch, px.
        strides: L ints, px.
    """
    height, width = padded_size
    return [(-(-height // stride), -(-width // stride)) for stride in strides]


def location_grids(
    level_sizes: list[tuple[int, int]],
    strides: list[int],
    padded_size: tuple[int, int],
    rule: str = "center",
) -> list[LocationGrid]:
    """The grids of all levels.

    Args:
        level_sizes: L pairs (Hi, Wi), cells.
        strides: L ints, px.
        padded_size: height and width of the batch, px.
        rule: "center", index * stride + stride // 2; or "corner", index * (padded side // cells).
            The step of "corner" differs from the stride where the stride does not divide the side,
            as happens above P5.

    Returns:
        L grids.

    Source: "corner" is the rule of torchvision's anchor generator.
    """
    levels = zip(level_sizes, strides, strict=True)
    if rule == "center":
        return [LocationGrid.of_level(*size, stride) for size, stride in levels]
    padded_height, padded_width = padded_size
    return [
        LocationGrid(height, width, (padded_width // width, padded_height // height), 0, stride)
        for (height, width), stride in levels
    ]


def level_locations(grid: LocationGrid, like: Tensor) -> Tensor:
    """All locations of one level, row by row.

    Args:
        grid: of the level.
        like: a tensor whose dtype and device the result takes.

    Returns:
        (Hi * Wi, 2) x and y, px.
    """
    x = torch.arange(grid.width, device=like.device) * grid.step[0] + grid.offset
    y = torch.arange(grid.height, device=like.device) * grid.step[1] + grid.offset
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((x, y), dim=-1).reshape(-1, 2).to(like.dtype)


def all_locations(grids: list[LocationGrid], like: Tensor) -> Tensor:
    """The locations of all levels, (R, 2) x and y, px; dtype and device are those of `like`."""
    return torch.cat([level_locations(grid, like) for grid in grids])


def location_strides(grids: list[LocationGrid], like: Tensor) -> Tensor:
    """The stride of the level of each location, (R, 1) px; dtype and device as those of `like`."""
    return torch.cat([like.new_full((grid.num_locations, 1), grid.stride) for grid in grids])


def boxes_to_ltrb(locations: Tensor, boxes: Tensor) -> Tensor:
    """Distances from locations to the left, top, right and bottom side of boxes.

    Args:
        locations: (..., 2) x and y, px.
        boxes: (..., 4) xyxy, px; broadcasts against `locations`.

    Returns:
        (..., 4) px; all four are positive exactly when the location is inside the box.

    Source: arXiv 1904.01355, equation 1.
    """
    return torch.cat((locations - boxes[..., :2], boxes[..., 2:] - locations), dim=-1)


def ltrb_to_boxes(locations: Tensor, ltrb: Tensor) -> Tensor:
    """The boxes whose sides lie at the given distances: the inverse of `boxes_to_ltrb`.

    Args:
        locations: (..., 2) x and y, px.
        ltrb: (..., 4) px.

    Returns:
        (..., 4) xyxy, px, not clipped to the image.
    """
    return torch.cat((locations - ltrb[..., :2], locations + ltrb[..., 2:]), dim=-1)


def centerness(ltrb: Tensor) -> Tensor:
    """How close each location is to the centre of its box: 1 at the centre, towards 0 at a side.

    Args:
        ltrb: (P, 4) of positive locations only, all > 0 (elsewhere the ratio has no meaning);
            any unit, because it cancels.

    Returns:
        (P,) in (0, 1].

    Source: arXiv 1904.01355, equation 3.
    """
    left, top, right, bottom = ltrb.unbind(dim=-1)
    horizontal = torch.minimum(left, right) / torch.maximum(left, right)
    vertical = torch.minimum(top, bottom) / torch.maximum(top, bottom)
    return (horizontal * vertical).sqrt()
