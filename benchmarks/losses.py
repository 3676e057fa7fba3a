"""Targets and losses of FCOS beside torchvision's and detectron2's: time and memory.

All three get head outputs of the same shapes, logits that need gradients, and the same boxes.
Measured is their own code from the boxes to the losses; anchors and locations are made before.
"""

import functools
import statistics
from collections.abc import Callable
from types import SimpleNamespace

import torch
from detectron2.modeling.box_regression import Box2BoxTransformLinear
from detectron2.modeling.meta_arch.fcos import FCOS as Detectron2FCOS
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import Tensor
from torchvision.models.detection import FCOS as TorchvisionFCOS
from torchvision.models.detection.fcos import FCOSHead as TorchvisionHead

from benchmarks.assignment import NUM_CLASSES, SIZE_BOUNDS, STRIDES, levels_of, random_truth
from benchmarks.common import peak_memory, row_beside_peers
from fcos_d2.benchmark.timing import time_in_turns
from fcos_d2.modeling import FCOSHead, FCOSProposalGenerator, SizeRangeAssigner
from fcos_d2.modeling.criterion import Targets
from fcos_d2.modeling.geometry import LocationGrid
from fcos_d2.modeling.matching import Truth

HEIGHT, WIDTH, NUM_IMAGES = 800, 1088, 2
RADIUS = 1.5
# Boxes of an image: how often our time must fit into the faster peer's.
TIME_TARGETS = {10: 2.0, 500: 15.0, 2000: 60.0}
# The same of the extra memory, which is asked for with few boxes.
MEMORY_TARGETS = {10: 3.0}


def measure(boxes: list[int], repeats: int, warmup: int = 2) -> list[dict]:
    """Forward of targets and losses at 800 x 1088, 2 images, 80 classes, strides 8 to 128.

    Args:
        boxes: per image, one row each.
        repeats: measured calls of each implementation, which take turns.
        warmup: calls before them.

    Returns:
        Two rows of the suite for each number of boxes, see `row_beside_peers`: the time, and the
        peak of extra memory.
    """
    rows = []
    for num_boxes in boxes:
        truth = [random_truth(num_boxes, HEIGHT, WIDTH, seed) for seed in range(NUM_IMAGES)]
        with EventStorage():  # detectron2's logs into it
            subjects = loss_subjects(truth)
            times = time_in_turns(subjects, warmup, repeats)
            memory = {name: peak_memory(run) / 1e6 for name, run in subjects.items()}
        medians = {name: statistics.median(values) for name, values in times.items()}
        time_target, memory_target = TIME_TARGETS.get(num_boxes), MEMORY_TARGETS.get(num_boxes)
        rows.append(row_beside_peers(f"{num_boxes} boxes, time", medians, "ms", time_target))
        rows.append(row_beside_peers(f"{num_boxes} boxes, memory", memory, "MB", memory_target))
    return rows


def loss_subjects(truth: list[tuple[Tensor, Tensor]]) -> dict[str, Callable[[], dict]]:
    """A call without arguments of "ours", "torchvision" and "detectron2", from boxes to losses.

    Args:
        truth: N pairs of boxes (M, 4) and classes (M,).
    """
    grids, locations, squares = levels_of(HEIGHT, WIDTH)
    predictions = random_predictions(sum(len(x) for x in locations))
    return {
        "ours": ours(truth, grids, predictions),
        "torchvision": torchvision_losses(truth, squares, predictions),
        "detectron2": detectron2_losses(truth, squares, predictions),
    }


def random_predictions(num_locations: int) -> tuple[Tensor, Tensor, Tensor]:
    """Class logits (N, R, K), distances (N, R, 4) in strides and quality logits (N, R), as an
    untrained head gives them; all need gradients.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (NUM_IMAGES, num_locations)
    cls_logits = torch.randn(*shape, NUM_CLASSES, generator=generator) - 4.6
    ltrb_in_strides = torch.rand(*shape, 4, generator=generator) * 4
    quality_logits = torch.randn(*shape, generator=generator)
    return tuple(x.requires_grad_() for x in (cls_logits, ltrb_in_strides, quality_logits))


def ours(
    truth: list[tuple[Tensor, Tensor]],
    grids: list[LocationGrid],
    predictions: tuple[Tensor, Tensor, Tensor],
) -> Callable[[], dict]:
    """What FCOSProposalGenerator.losses does once the head's outputs are flattened."""
    levels = [f"p{i}" for i in range(3, 8)]
    generator = FCOSProposalGenerator(
        head=FCOSHead(in_channels=32, num_classes=NUM_CLASSES, num_levels=len(levels)),
        in_features=levels,
        strides=STRIDES,
        assigner=SizeRangeAssigner(size_bounds=SIZE_BOUNDS, center_sampling_radius=RADIUS),
    )
    criterion = generator.criterion

    def run() -> dict:
        boxes, classes = (torch.cat(x) for x in zip(*truth, strict=True))
        batch = Truth(boxes, classes, [len(x) for x, _ in truth])
        targets = Targets.of_matches(generator.assigner.assign(batch, grids), batch, grids)
        divisors = generator.loss_normalizers(criterion.target_sums(targets, grids), levels)
        return criterion.losses(*predictions, targets, divisors)

    return run


def torchvision_losses(
    truth: list[tuple[Tensor, Tensor]],
    squares: list[Tensor],
    predictions: tuple[Tensor, Tensor, Tensor],
) -> Callable[[], dict]:
    """FCOS.compute_loss, whose second half is FCOSHead.compute_loss."""
    head = TorchvisionHead(32, 1, NUM_CLASSES, 1)  # its layers take no part
    model = SimpleNamespace(center_sampling_radius=RADIUS, head=head)
    targets = [{"boxes": boxes, "labels": classes} for boxes, classes in truth]
    cls_logits, ltrb, quality = predictions
    outputs = {
        "cls_logits": cls_logits,
        "bbox_regression": ltrb,
        "bbox_ctrness": quality[..., None],
    }
    anchors, nums = [torch.cat(squares)] * len(truth), [len(x) for x in squares]
    return functools.partial(TorchvisionFCOS.compute_loss, model, targets, outputs, anchors, nums)


def detectron2_losses(
    truth: list[tuple[Tensor, Tensor]],
    squares: list[Tensor],
    predictions: tuple[Tensor, Tensor, Tensor],
) -> Callable[[], dict]:
    """FCOS.label_anchors and FCOS.losses."""
    model = SimpleNamespace(
        center_sampling_radius=RADIUS,
        num_classes=NUM_CLASSES,
        focal_loss_alpha=0.25,
        focal_loss_gamma=2.0,
        box2box_transform=Box2BoxTransformLinear(normalize_by_size=True),
        _ema_update=lambda name, value, initial: value,
    )
    for name in ("_match_anchors", "compute_ctrness_targets"):
        setattr(model, name, functools.partial(getattr(Detectron2FCOS, name), model))
    anchors = [Boxes(x) for x in squares]
    instances = [
        Instances((HEIGHT, WIDTH), gt_boxes=Boxes(boxes), gt_classes=classes)
        for boxes, classes in truth
    ]
    nums = [len(x) for x in squares]
    cls_logits, ltrb, quality = predictions
    levels = [x.split(nums, dim=1) for x in (cls_logits, ltrb, quality[..., None])]

    def run() -> dict:
        labels, boxes = Detectron2FCOS.label_anchors(model, anchors, instances)
        cls_levels, ltrb_levels, quality_levels = levels
        return Detectron2FCOS.losses(
            model, anchors, cls_levels, labels, ltrb_levels, boxes, quality_levels
        )

    return run
