"""The levels of a detector by the objects, counted with the assigner that training uses."""

import numpy as np
import torch

from ..modeling import SizeRangeAssigner
from ..modeling.geometry import level_sizes, location_grids
from . import rules

MOST_BOXES = 20_000  # of a dataset, evenly chosen


def levels_for(
    boxes: np.ndarray, strides: list[int], size: tuple[int, int]
) -> tuple[list[int], list[int], list[float]]:
    """Strides, size bounds, and the share of all learning locations of each level.

    Levels that learn nothing are left out, the emptiest first, so that each that is left learns.

    Args:
        boxes: (M, 4) xyxy, px of the network input.
        strides: of the levels to begin with.
        size: height and width that hold all boxes, px.
    """
    chosen = np.unique(np.linspace(0, len(boxes) - 1, MOST_BOXES).astype(int))
    boxes = boxes[chosen]
    longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    while True:
        bounds = rules.size_bounds(longest, strides)
        shares = positive_shares(boxes, strides, bounds, size)
        if not any(shares):  # not even the finest level is fine enough
            return strides[:1], [], [0.0]
        emptiest = int(np.argmin(shares))
        if len(strides) == 1 or shares[emptiest] >= rules.LEVEL_SHARE:
            return strides, bounds, shares
        strides = [x for i, x in enumerate(strides) if i != emptiest]


def positive_shares(
    boxes: np.ndarray, strides: list[int], bounds: list[int], size: tuple[int, int]
) -> list[float]:
    """The share of all pairs of a location and a box that each level has."""
    assigner = SizeRangeAssigner(size_bounds=bounds)
    grids = location_grids(level_sizes(size, strides), strides, size)
    _, _, levels = assigner.claims(torch.from_numpy(boxes.astype(np.float32)), grids)
    counts = levels.bincount(minlength=len(strides)).numpy()
    return [float(x) for x in counts / max(counts.sum(), 1)]
