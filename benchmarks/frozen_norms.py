"""A step of training with frozen norms: done by the convolutions before them, and as modules."""

import copy
import statistics
from collections.abc import Callable

import torch
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import nn

from benchmarks.assignment import random_truth
from benchmarks.common import row_beside_peers
from fcos_d2 import model_zoo
from fcos_d2.benchmark.timing import time_in_turns
from fcos_d2.modeling.frozen_norms import absorb_frozen_norms

BATCH, OBJECTS = 2, 10
LITE = (
    *("MODEL.BACKBONE.NAME", "build_fcos_timm_fpn_backbone"),
    *("MODEL.TIMM.NAME", "tf_efficientnet_lite0", "MODEL.TIMM.NORM", "FrozenBN"),
    *("MODEL.FPN.OUT_CHANNELS", "64"),
)
MODELS = {
    "FCOS/R50-1x": ("FCOS/R50-1x", ()),
    "FCOS-RT/DLA34": ("FCOS-RT/DLA34", ()),
    "FCOS with EfficientNet-Lite0": ("FCOS/R50-1x", LITE),
}


def measure_frozen_norms(size: tuple[int, int], repeats: int, warmup: int = 1) -> list[dict]:
    """Forward and backward of two images, on the CPU, in channels-last.

    Args:
        size: height and width of the input, px.
        repeats: measured steps of each, in turns.
        warmup: steps before them.

    Returns:
        Rows of the suite, see `row_beside_peers`, in ms.
    """
    rows = []
    for name, (config, opts) in MODELS.items():
        plain = model_zoo.get_model(config, ["MODEL.DEVICE", "cpu", *opts]).train()
        plain = plain.to(memory_format=torch.channels_last)
        ours = copy.deepcopy(plain)
        absorb_frozen_norms(ours)
        images = _images(size)
        subjects = {"ours": _step(ours, images), "as modules": _step(plain, images)}
        with EventStorage():
            times = time_in_turns(subjects, warmup, repeats)
        medians = {of: statistics.median(values) for of, values in times.items()}
        rows.append(row_beside_peers(name, medians, "ms", None))
    return rows


def _images(size: tuple[int, int]) -> list[dict]:
    """A batch with boxes, as the mapper gives it."""
    generator = torch.Generator().manual_seed(0)
    batch = []
    for seed in range(BATCH):
        boxes, classes = random_truth(OBJECTS, *size, seed)
        image = 255 * torch.rand(3, *size, generator=generator)
        truth = Instances(size, gt_boxes=Boxes(boxes), gt_classes=classes)
        batch.append({"image": image, "instances": truth})
    return batch


def _step(model: nn.Module, batch: list[dict]) -> Callable[[], None]:
    def run() -> None:
        sum(model(batch).values()).backward()
        model.zero_grad()

    return run
