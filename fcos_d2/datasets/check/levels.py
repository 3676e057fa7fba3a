"""Box sizes against the levels of a detector, at the resolution of its training."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from ...modeling import FCOSProposalGenerator, SizeRangeAssigner
from ...modeling.assignment import claims_of_boxes
from ...modeling.geometry import LocationGrid
from ...modeling.matching import Truth

Size = tuple[int, int]  # height and width, px

CHUNK = 10_000  # boxes at a time: bounds the memory
SAMPLE = 500  # images in which boxes compete for locations, and that are looked at in training
IDLE = 0.005  # share of all locations that learn, below which a level is idle
DIVISIBILITY = 32  # px, that batches are padded to


class LevelStatistics(NamedTuple):
    """What the levels of a detector learn of a dataset; sides are px at training resolution."""

    short_side: int  # median of the images
    sides: np.ndarray  # (M,) square root of the area of each box
    longest: np.ndarray  # (M,) longer side of each box
    learned: np.ndarray  # (M,) bool, whether any location may learn it
    positives: list[int]  # of each level, before boxes compete
    names: list[str]  # of the levels
    ranges: list[tuple[float, float]]  # 0 to inf, all of them: sizes do not decide
    strides: list[int]
    lost: float  # share of the boxes that lose all locations to smaller boxes, in a sample

    @property
    def unlearned_share(self) -> float:
        """Share of the boxes that no location will learn, in [0, 1]."""
        return 1 - self.learned.mean() if len(self.learned) else 0.0

    @property
    def sizes_decide(self) -> bool:
        """Whether the assigner knows size ranges, not only which locations are inside of a box."""
        return len(self.ranges) == 1 or any(high < math.inf for _, high in self.ranges)

    def advice(self) -> list[str]:
        """What to change, in sentences; empty when all is well."""
        if not len(self.sides):
            return []
        lines, finest = [], self.strides[0]
        tiny = (self.sides < finest).mean()
        if tiny > 0.05:
            lines.append(
                f"{tiny:.0%} of the boxes are smaller than the finest stride ({finest} px): train "
                f"at over {self.short_side} px (INPUT.MIN_SIZE_TRAIN), add a level of stride 4 "
                "(--config FCOS/R50-P2-1x), or detect on slices (fcos predict --slice)"
            )
        if self.unlearned_share > 0.01:
            lines.append(
                f"{self.unlearned_share:.1%} of the boxes contain no location near their centre "
                "and are never learned: train at a larger size or add a level of stride 4"
            )
        if self.lost > 0.02:
            lines.append(
                f"{self.lost:.0%} of the boxes lie so close to smaller ones that these take all of "
                "their locations; a larger size or a finer level separates them"
            )
        return [*lines, *filter(None, [self.idle_levels()])]

    def idle_levels(self) -> str:
        """Which levels learn almost nothing, with the cure, in one line; "" for none."""
        if not self.sizes_decide:
            return ""
        total = sum(self.positives)
        idle = [i for i, count in enumerate(self.positives) if count < IDLE * total]
        if not idle:
            return ""
        named = [
            f"{self.names[i]} ({self.ranges[i][0]:g} to {self.ranges[i][1]:g} px: "
            f"{self.positives[i] / total:.1%})"
            for i in idle
        ]
        return (
            f"at a short side of {self.short_side} px almost no location learns a box on "
            f"{', '.join(named)}: MODEL.FCOS.SIZES_OF_INTEREST (size_bounds) "
            f"{self.fitting_bounds()} would use all levels, and fewer levels would do"
        )

    def fitting_bounds(self) -> list[int]:
        """Limits of max(ltrb) by which all levels get as many boxes, px.

        At the centre of a box max(ltrb) is half of its longer side. A box that a level learns is
        longer than its stride, or there may be no location in it.
        """
        num = len(self.strides)
        shares = np.quantile(self.longest / 2, np.arange(1, num) / num)
        bounds: list[int] = []
        for share, stride in zip(shares, self.strides[1:], strict=True):
            step = 4 if share < 64 else 16
            lowest = max(stride, bounds[-1] + step if bounds else 0)
            bounds.append(max(step * round(share / step), lowest))
        return bounds


def level_statistics(
    coco: dict[str, list[dict]],
    generator: FCOSProposalGenerator,
    input_sizes: Callable[[Sequence[Size]], np.ndarray],
) -> LevelStatistics:
    """Measures the boxes of a dataset against a detector.

    Args:
        coco: repaired COCO dict.
        generator: gives strides, size ranges, sampling and locations.
        input_sizes: maps the sizes of N images to those at the network's input (N, 2) in training,
            such as `sizes_after`.
    """
    number = {image["id"]: i for i, image in enumerate(coco["images"])}
    kept = [a for a in coco["annotations"] if not a["iscrowd"]]
    xywh = np.array([a["bbox"] for a in kept], dtype=np.float32).reshape(-1, 4)
    boxes = np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)
    image_idxs = np.array([number[a["image_id"]] for a in kept], dtype=np.int64)
    sizes = [(image["height"], image["width"]) for image in coco["images"]]
    return statistics_of_boxes(sizes, input_sizes(sizes), boxes, image_idxs, generator)


def statistics_of_boxes(
    sizes: Sequence[Size],
    input_sizes: np.ndarray,
    boxes: np.ndarray,
    image_idxs: np.ndarray,
    generator: FCOSProposalGenerator,
) -> LevelStatistics:
    """Of N images with their sizes on disk and at the network's input (N, 2), and their boxes.

    Args:
        boxes: (M, 4) xyxy, px on disk.
        image_idxs: (M,) the image of each box.
    """
    assigner = generator.assigner
    if isinstance(assigner, SizeRangeAssigner):
        ranges, claims = assigner.size_ranges, assigner.claims
    else:  # it chooses among all locations inside of a box
        ranges = [(0.0, math.inf)] * len(generator.strides)
        claims = partial(
            claims_of_boxes,
            size_ranges=ranges,
            center_sampling_radius=None,
            inclusive_size_ranges=True,
        )
    old = np.array(sizes, dtype=np.float32).reshape(-1, 2)
    new = input_sizes
    factors = (new / np.maximum(old, 1))[image_idxs][:, [1, 0, 1, 0]]
    scaled = torch.from_numpy((boxes * factors).astype(np.float32))
    padded = -(-new // DIVISIBILITY) * DIVISIBILITY
    if generator.location_rule == "center" and len(padded):
        padded[:] = padded.max(axis=0)  # locations do not depend on it, and one grid is faster
    padded = padded[image_idxs]
    learned, positives = _claims(scaled, padded, generator, claims)
    extents = scaled[:, 2:] - scaled[:, :2]  # (M, 2)
    return LevelStatistics(
        int(np.median(new.min(axis=1))) if len(new) else 0,
        extents.prod(dim=1).sqrt().numpy(),
        extents.amax(dim=1).numpy(),
        learned.numpy(),
        positives.tolist(),
        generator.in_features,
        ranges,
        generator.strides,
        _lost_share(scaled, torch.from_numpy(image_idxs), padded, learned, generator),
    )


def _grids(padded: Sequence[int], generator: FCOSProposalGenerator) -> list[LocationGrid]:
    """The grids of the levels for a batch of a padded size, height and width in px."""
    height, width = padded
    return generator.grids((int(height), int(width)))


def _claims(
    boxes: torch.Tensor,
    padded: np.ndarray,
    generator: FCOSProposalGenerator,
    claims: Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether any location may learn each of the boxes (M, 4), and how many of each level do.

    Args:
        boxes: xyxy, px.
        padded: (M, 2) height and width of the batch of each.
        generator: has the levels.
        claims: boxes and grids to pairs, as `claims_of_boxes`.
    """
    learned = torch.zeros(len(boxes), dtype=torch.bool)
    positives = torch.zeros(len(generator.strides), dtype=torch.int64)
    for size in np.unique(padded, axis=0):
        grids = _grids(size, generator)
        for some in torch.from_numpy(np.flatnonzero((padded == size).all(axis=1))).split(CHUNK):
            _, gt_idxs, levels = claims(boxes[some], grids)
            learned[some[gt_idxs]] = True
            positives += levels.bincount(minlength=len(grids))
    return learned, positives


def _lost_share(
    boxes: torch.Tensor,
    image_idxs: torch.Tensor,
    padded: np.ndarray,
    learned: torch.Tensor,
    generator: FCOSProposalGenerator,
) -> float:
    """Share of the boxes, in some images, that are not learned because of boxes around them.

    0 where that depends on predictions.
    """
    if generator.assigner.needs_predictions:
        return 0.0
    lost = total = 0
    for image in image_idxs.unique()[:SAMPLE]:
        mine = image_idxs == image
        grids = _grids(padded[int(mine.nonzero()[0, 0])], generator)
        count = int(mine.sum())
        truth = Truth(boxes[mine], torch.zeros(count, dtype=torch.int64), [count])
        matched = generator.assigner.assign(truth, grids).matched_idxs
        winners = torch.zeros(count, dtype=torch.bool)
        winners[matched[matched >= 0]] = True
        lost += int((learned[mine] & ~winners).sum())
        total += len(winners)
    return lost / total if total else 0.0
