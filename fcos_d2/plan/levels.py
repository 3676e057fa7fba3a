"""The levels of a detector by the objects, counted with the assigner that training uses."""

from typing import NamedTuple

import numpy as np
import torch

from ..modeling import SizeRangeAssigner
from ..modeling.geometry import level_sizes, location_grids
from . import rules

MOST_BOXES = 20_000  # about as many are looked at, in whole images


class Learning(NamedTuple):
    """What the locations of some levels learn of some boxes."""

    shares: list[float]  # of all locations that learn, for each level
    missed: float  # share of the boxes that no location learns


def levels_for(
    boxes: np.ndarray, image_idxs: np.ndarray, strides: list[int], size: tuple[int, int]
) -> tuple[list[int], list[int], list[float]]:
    """Strides, size bounds, and the share of all learning locations of each level.

    Levels that learn nothing are left out, the emptiest first, so that each that is left learns.

    Args:
        boxes: (M, 4) xyxy, px of the network input.
        image_idxs: (M,) of the image of each.
        strides: of the levels to begin with.
        size: height and width that hold all boxes, px.
    """
    chosen = image_idxs % -(-len(boxes) // MOST_BOXES) == 0
    boxes, image_idxs = boxes[chosen], image_idxs[chosen]
    while True:
        bounds, learning = _best_bounds(boxes, image_idxs, strides, size)
        shares = learning.shares
        if not any(shares):  # not even the finest level is fine enough
            return strides[:1], [], [0.0]
        emptiest = int(np.argmin(shares))
        if len(strides) == 1 or shares[emptiest] >= rules.LEVEL_SHARE:
            return strides, bounds, shares
        strides = [x for i, x in enumerate(strides) if i != emptiest]


def _best_bounds(
    boxes: np.ndarray, image_idxs: np.ndarray, strides: list[int], size: tuple[int, int]
) -> tuple[list[int], Learning]:
    """The lowest bounds that miss few of the boxes.

    Thin boxes slip through the locations of coarse levels, and boxes near a bound between those of
    two levels; larger bounds leave more of them to finer levels.
    """
    tried = []
    for factor in rules.BOUND_FACTORS:
        bounds = rules.size_bounds(strides, factor)
        tried.append((bounds, learning_of(boxes, image_idxs, strides, bounds, size)))
        if tried[-1][1].missed <= rules.MISSED:
            return tried[-1]
    return min(tried, key=lambda x: x[1].missed)


def learning_of(
    boxes: np.ndarray,
    image_idxs: np.ndarray,
    strides: list[int],
    bounds: list[int],
    size: tuple[int, int],
) -> Learning:
    """Counted with `SizeRangeAssigner`; of the boxes of one image, the smallest gets a location."""
    assigner = SizeRangeAssigner(size_bounds=bounds)
    grids = location_grids(level_sizes(size, strides), strides, size)
    claims = assigner.claims(torch.from_numpy(boxes.astype(np.float32)), grids)
    locations, gt_idxs, levels = (x.numpy() for x in claims)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[gt_idxs]
    order = np.lexsort((areas, locations, image_idxs[gt_idxs]))
    places = np.stack((image_idxs[gt_idxs], locations))[:, order]
    first = np.append(True, (places[:, 1:] != places[:, :-1]).any(axis=0))[: len(order)]
    winners = order[first]
    counts = np.bincount(levels[winners], minlength=len(strides))
    missed = 1 - len(np.unique(gt_idxs[winners])) / len(boxes)
    return Learning([float(x) for x in counts / max(counts.sum(), 1)], missed)
