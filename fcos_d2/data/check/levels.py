"""Box sizes against the levels of a detector, at the resolution of its training."""

from typing import NamedTuple

import numpy as np
import torch

from ...modeling import FCOSProposalGenerator
from ...modeling.assignment import claims_of_boxes
from ...modeling.geometry import LocationGrid

CHUNK = 10_000  # boxes at a time: bounds the memory
SAMPLE = 500  # images in which boxes compete for locations


class LevelStatistics(NamedTuple):
    """What the levels of a detector learn of a dataset; sides are px at training resolution."""

    short_side: int
    sides: np.ndarray  # (M,) square root of the area of each box
    longest: np.ndarray  # (M,) longer side of each box
    learned: np.ndarray  # (M,) bool, whether any location may learn it
    positives: list[int]  # of each level, before boxes compete
    names: list[str]  # of the levels
    ranges: list[tuple[float, float]]
    strides: list[int]
    lost: float  # share of the boxes that lose all locations to smaller boxes, in a sample

    @property
    def unlearned_share(self) -> float:
        """Share of the boxes that no location will learn, in [0, 1]."""
        return 1 - self.learned.mean() if len(self.learned) else 0.0

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
                "(configs/FCOS/R50-P2-1x.yaml), or detect on slices (demo.py --slice)"
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
        return lines + self._idle_levels()

    def _idle_levels(self) -> list[str]:
        used = [i for i, count in enumerate(self.positives) if count]
        if not used:
            return []
        lines = []
        if fine := self.names[: used[0]]:
            lines.append(
                f"nothing is small enough for {', '.join(fine)}: training at under "
                f"{self.short_side} px would do, and is faster"
            )
        if coarse := self.names[used[-1] + 1 :]:
            lines.append(f"nothing is large enough for {', '.join(coarse)}: fewer levels would do")
        return lines


def level_statistics(
    coco: dict[str, list[dict]],
    generator: FCOSProposalGenerator,
    short_side: int,
    long_side: int,
) -> LevelStatistics:
    """Measures the boxes of a dataset against a detector.

    Args:
        coco: repaired COCO dict.
        generator: tells strides, size ranges and centre sampling.
        short_side, long_side: of the resize in training, px.

    Raises:
        ValueError: its assigner knows no size ranges.
    """
    maker = generator.target_maker
    if maker.assigner != "size_ranges":
        raise ValueError(
            f"box sizes can be held against size ranges only, and the assigner is "
            f"{maker.assigner!r}; give a config with MODEL.FCOS.ASSIGNER size_ranges"
        )
    boxes, image_idxs = _scaled_boxes(coco, short_side, long_side)
    grids = [
        LocationGrid.of_level(-(-long_side // stride), -(-long_side // stride), stride)
        for stride in generator.strides
    ]
    rules = (maker.size_ranges, maker.center_sampling_radius)
    learned = torch.zeros(len(boxes), dtype=torch.bool)
    positives = torch.zeros(len(grids), dtype=torch.int64)
    for start in range(0, len(boxes), CHUNK):
        chunk = boxes[start : start + CHUNK]
        _, gt_idxs, levels = claims_of_boxes(chunk, grids, generator.strides, *rules)
        learned[start + gt_idxs] = True
        positives += levels.bincount(minlength=len(grids))
    extents = boxes[:, 2:] - boxes[:, :2]  # (M, 2)
    return LevelStatistics(
        short_side,
        extents.prod(dim=1).sqrt().numpy(),
        extents.amax(dim=1).numpy(),
        learned.numpy(),
        positives.tolist(),
        generator.in_features,
        maker.size_ranges,
        generator.strides,
        _lost_share(boxes, image_idxs, learned, grids, generator),
    )


def _scaled_boxes(
    coco: dict[str, list[dict]], short_side: int, long_side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes (M, 4) xyxy in px of the network input, and the number of the image of each."""
    scale, number = {}, {}
    for i, image in enumerate(coco["images"]):
        low, high = sorted((image["height"], image["width"]))
        scale[image["id"]], number[image["id"]] = min(short_side / low, long_side / high), i
    kept = [a for a in coco["annotations"] if not a["iscrowd"]]
    xywh = np.array([a["bbox"] for a in kept], dtype=np.float32).reshape(-1, 4)
    factors = np.array([scale[a["image_id"]] for a in kept], dtype=np.float32)[:, None]
    image_idxs = torch.tensor([number[a["image_id"]] for a in kept], dtype=torch.int64)
    xyxy = np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1) * factors
    return torch.from_numpy(xyxy), image_idxs


def _lost_share(
    boxes: torch.Tensor,
    image_idxs: torch.Tensor,
    learned: torch.Tensor,
    grids: list[LocationGrid],
    generator: FCOSProposalGenerator,
) -> float:
    """Share of the boxes of some images that could be learned but for the boxes around them."""
    lost = total = 0
    for image in image_idxs.unique()[:SAMPLE]:
        mine = image_idxs == image
        matched = generator.target_maker.match(boxes[mine], grids)
        winners = torch.zeros(int(mine.sum()), dtype=torch.bool)
        winners[matched[matched >= 0]] = True
        lost += int((learned[mine] & ~winners).sum())
        total += len(winners)
    return lost / total if total else 0.0
