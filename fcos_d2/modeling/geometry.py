"""Locations on the feature maps, boxes, and the distances between the two.

Everything is in pixels of the network input unless a name says `in_strides`.
"""

import torch
from torch import Tensor


def cells_to_locations(cells: Tensor, stride: int | Tensor) -> Tensor:
    """The input pixel that each feature-map cell stands for.

    Args:
        cells: integer (..., 2) column and row of a cell, or any integer tensor of indices.
        stride: of the level, px; an int or a tensor that broadcasts against `cells`.

    Returns:
        Integer tensor of the shape of `cells`: index * stride + stride // 2, px.

    Source: arXiv 1904.01355, section 3.1.
    """
    return cells * stride + stride // 2


def level_locations(height: int, width: int, stride: int, like: Tensor) -> Tensor:
    """All locations of one level, row by row.

    Args:
        height, width: of the feature map, cells.
        stride: px.
        like: a tensor whose dtype and device the result takes.

    Returns:
        (height * width, 2) x and y, px.
    """
    x = cells_to_locations(torch.arange(width, device=like.device), stride)
    y = cells_to_locations(torch.arange(height, device=like.device), stride)
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((x, y), dim=-1).reshape(-1, 2).to(like.dtype)


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
