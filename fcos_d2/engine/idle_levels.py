"""A warning when a level of the detector learns almost nothing from the training images."""

import logging
from collections.abc import Iterable

import numpy as np
from torch import nn

from ..data.input_size import sizes_after
from ..data.loader import SeededRecords
from ..datasets.check.levels import SAMPLE, statistics_of_boxes
from ..modeling import FCOSProposalGenerator, SizeRangeAssigner
from ..sample import boxes_of

logger = logging.getLogger(__name__)


def warn_of_idle_levels(model: nn.Module, loader: Iterable) -> None:
    """Warns, in one line, when a level of a detector learns almost nothing from the images.

    Args:
        model: says nothing where its proposal generator assigns by other rules than size ranges.
        loader: of `build_training_loader`.
    """
    generator, data = getattr(model, "proposal_generator", None), getattr(loader, "dataset", None)
    if not isinstance(generator, FCOSProposalGenerator) or not isinstance(data, SeededRecords):
        return
    sizes_of = getattr(data.mapper, "input_size", None)
    if sizes_of is None or not isinstance(generator.assigner, SizeRangeAssigner):
        return
    chosen = np.unique(np.linspace(0, len(data) - 1, SAMPLE).astype(int)).tolist()
    records = [record for i in chosen if "annotations" in (record := data.records[i])]
    boxes = [
        boxes_of([a for a in record["annotations"] if not a.get("iscrowd")]) for record in records
    ]
    image_idxs = np.repeat(np.arange(len(boxes)), [len(some) for some in boxes])
    sizes = [(record["height"], record["width"]) for record in records]
    all_boxes = np.concatenate([np.zeros((0, 4)), *boxes]).astype(np.float32)
    new_sizes = sizes_after(sizes_of.resize, sizes)
    statistics = statistics_of_boxes(sizes, new_sizes, all_boxes, image_idxs, generator)
    if line := statistics.idle_levels():
        logger.warning("%s", line)
