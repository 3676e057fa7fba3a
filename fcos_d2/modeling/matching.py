"""What all assignment rules share: boxes in, the box that each location learns out.

A rule is one file with a frozen dataclass of its options, which is an `Assigner`; the line of
`assembly.py` that names it for yaml configs is all that has to know of it.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .geometry import LocationGrid

# Boxes that are looked at together: few operators, and little memory.
BOXES_AT_ONCE = 2048


class Truth(NamedTuple):
    """The M ground-truth boxes of N images, image after image."""

    boxes: Tensor  # (M, 4) xyxy px, floating point; a box without area is learned nowhere
    classes: Tensor  # (M,) int64 in [0, K)
    counts: list[int]  # N numbers of boxes

    @property
    def image_idxs(self) -> Tensor:
        """(M,) int64 in [0, N), the image of each box."""
        images = torch.arange(len(self.counts)).repeat_interleave(torch.tensor(self.counts))
        return images.to(self.boxes.device)


class Matches(NamedTuple):
    """What each of the R locations of N images learns, image after image, level after level, row
    by row.
    """

    matched_idxs: Tensor  # (N * R,) int64 in [-1, M), the box; -1 is background
    alignment: Tensor | None = None  # (N * R,) in [0, 1], 0 for background; None: the rule has none


class Assigner(Protocol):
    """A rule by which locations learn boxes. Each is a frozen dataclass of its options."""

    @property
    def num_levels(self) -> int | None:
        """L that its options are for; None: any."""

    @property
    def needs_predictions(self) -> bool:
        """Whether `assign` looks at them; it then gives an alignment, too."""

    def assign(
        self,
        truth: Truth,
        grids: list[LocationGrid],
        cls_logits: Tensor | None = None,
        ltrb_in_strides: Tensor | None = None,
    ) -> Matches:
        """The box that each location learns.

        A rule that needs no predictions takes many small operators and looks at what they found,
        so it is best run on the CPU.

        Args:
            truth: of N images.
            grids: L grids, with R locations together.
            cls_logits: (N, R, K), where `needs_predictions`.
            ltrb_in_strides: (N, R, 4) >= 0 predicted, likewise.
        """


def claims_of_batch(
    claims_of: Callable[[Tensor, list[LocationGrid]], tuple[Tensor, Tensor, Tensor]],
    truth: Truth,
    grids: list[LocationGrid],
) -> tuple[Tensor, Tensor, Tensor]:
    """The claims on the boxes of N images, made for BOXES_AT_ONCE of them at a time.

    Args:
        claims_of: gives of boxes (M, 4) in one image location_idxs (C,) in [0, R), gt_idxs (C,) in
            [0, M) and (C,) of anything else.
        truth: of N images.
        grids: L grids.

    Returns:
        The same with location_idxs in [0, N * R) and gt_idxs in [0, M) of all images.
    """
    num_locations, parts = sum(grid.num_locations for grid in grids), []
    first, image_idxs = 0, truth.image_idxs
    for boxes in truth.boxes.split(BOXES_AT_ONCE):
        location_idxs, gt_idxs, other = claims_of(boxes, grids)
        gt_idxs = gt_idxs + first
        parts.append((location_idxs + image_idxs[gt_idxs] * num_locations, gt_idxs, other))
        first += len(boxes)
    if len(parts) == 1:
        return parts[0]
    all_locations, all_gt, others = map(torch.cat, zip(*parts, strict=True))
    return all_locations, all_gt, others


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
