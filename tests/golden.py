"""Reference results for FCOS: how weights, inputs and predictions are made, and how they compare.

The results lie in `shared/golden`; its spec.md defines every rule that this file implements.
"""

import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model, build_proposal_generator
from detectron2.modeling.backbone import Backbone
from detectron2.structures import Boxes, ImageList, Instances
from torch import Tensor, nn

from fcos_d2.config import get_cfg
from fcos_d2.modeling import FCOS, FCOSProposalGenerator
from fcos_d2.modeling.assignment import (
    assign_locations,
    location_targets,
    size_ranges_from_bounds,
)
from fcos_d2.modeling.geometry import LocationGrid, level_locations
from fcos_d2.modeling.head import HeadOutputs

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
# Height and width that the boxes of the two images are scaled to.
OUTPUT_SIZES = {"A": (380, 500), "B": (240, 336)}


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def load_cfg(yaml: str, options: list) -> CfgNode:
    """A config of the repository for the CPU, with changed options."""
    cfg = get_cfg()
    cfg.merge_from_file(str(CONFIGS / yaml))
    cfg.merge_from_list(options)
    cfg.MODEL.DEVICE = "cpu"
    return cfg


def fill_value(key: str, shape: tuple[int, ...], stem_factor: float) -> np.ndarray:
    """The reference value of one entry of the state dict (spec, section 1)."""
    noise = np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF).standard_normal(shape)
    leaf = key.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, dtype=np.int64)
    if leaf == "running_mean":
        return 0.1 * noise
    if leaf == "running_var":
        return 1 + 0.1 * np.abs(noise)
    if leaf == "weight" and len(shape) == 4:
        return noise * math.sqrt(2 / math.prod(shape[1:])) * _conv_factor(key, shape, stem_factor)
    if leaf == "weight":
        residual_end = key.endswith(("conv3.norm.weight", ".bn2.weight"))
        return (1 + 0.1 * noise) * (0.3 if residual_end else 1.0)
    if leaf == "scale":
        return 1 + 0.1 * noise
    assert leaf == "bias", key
    if key.endswith("cls_logits.bias"):
        return -5.5 + 0.5 * noise
    if key.endswith("bbox_pred.bias"):
        return 2.0 + 0.3 * noise
    return 0.1 * noise


def _conv_factor(key: str, shape: tuple[int, ...], stem_factor: float) -> float:
    factor = stem_factor if shape[1] == 3 else 1.0
    if "offset" in key:
        factor *= 0.5
    if "fpn_output" in key:
        factor /= 6
    return factor


def fill_model(model: nn.Module, stem_factor: float) -> None:
    """Loads the reference weights; the model must be in float64."""
    state = {
        key: torch.as_tensor(fill_value(key, tuple(value.shape), stem_factor))
        for key, value in model.state_dict().items()
    }
    model.load_state_dict(state)


def input_batch(golden_dir: Path) -> list[dict]:
    """The two images A and B, with ground truth, in detectron2's format (spec, section 2)."""
    arrays = np.load(golden_dir / "inputs.npz")
    batch = []
    for name, (height, width) in OUTPUT_SIZES.items():
        image = torch.from_numpy(arrays[f"image_{name}"])
        instances = Instances(tuple(image.shape[1:]))
        instances.gt_boxes = Boxes(torch.from_numpy(arrays[f"gt_boxes_{name}"]))
        instances.gt_classes = torch.from_numpy(arrays[f"gt_classes_{name}"])
        batch.append(
            {
                "file_name": name,
                "image": image,
                "instances": instances,
                "height": height,
                "width": width,
            }
        )
    return batch


def unit_predictions(
    level_sizes: list[tuple[int, int]], num_images: int, num_classes: int
) -> HeadOutputs:
    """Synthetic head outputs (spec, section 6), float64; the box features name the location."""
    cls_logits, ltrb, quality_logits = [], [], []
    for level, (height, width) in enumerate(level_sizes):

        def draw(name: str, channels: int, level=level, height=height, width=width) -> np.ndarray:
            seed = zlib.crc32(f"unit.{name}.{level}.{num_images}".encode())
            shape = (num_images, channels, height, width)
            return np.random.RandomState(seed).standard_normal(shape)

        cls_logits.append(_via_float32(1.5 * draw("logits", num_classes) - 3))
        ltrb.append(_via_float32(np.maximum(2 + 1.2 * draw("reg", 4), 0)))
        quality_logits.append(_via_float32(draw("ctr", 1)))
    return HeadOutputs(cls_logits, ltrb, quality_logits, location_markers(cls_logits))


def _via_float32(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).double()


def location_markers(levels: list[Tensor]) -> list[Tensor]:
    """Stand-ins for box features that tell where a detection is from: level, column, row.

    Args:
        levels: L tensors (N, C, Hi, Wi).

    Returns:
        L tensors (N, 3, Hi, Wi), float64.
    """
    markers = []
    for level, x in enumerate(levels):
        num_images, _, height, width = x.shape
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        marker = torch.stack((torch.full_like(rows, level), columns, rows)).double()
        markers.append(marker.expand(num_images, -1, -1, -1))
    return markers


class RecordedHead(nn.Module):
    """In the place of a head: gives outputs that were made before, whatever the features."""

    def __init__(self, outputs: HeadOutputs) -> None:
        super().__init__()
        self.num_classes = outputs.cls_logits[0].shape[1]
        self.num_levels = len(outputs.cls_logits)
        self.outputs = outputs

    def forward(self, features: list) -> HeadOutputs:
        return self.outputs


class NamesOnlyBackbone(Backbone):
    """In the place of a backbone, before a `RecordedHead`: gives feature names without features."""

    def __init__(self, shapes: dict[str, ShapeSpec]) -> None:
        super().__init__()
        self.shapes = shapes

    @property
    def size_divisibility(self) -> int:
        return 32

    def output_shape(self) -> dict[str, ShapeSpec]:
        return self.shapes

    def forward(self, images: Tensor) -> dict[str, None]:
        return dict.fromkeys(self.shapes)


def level_targets(
    gt_instances: list[Instances],
    level_sizes: list[tuple[int, int]],
    strides: list[int],
    size_ranges: list[tuple[float, float]],
    center_sampling_radius: float | None,
    num_classes: int,
) -> list[dict[str, Tensor]]:
    """The targets of a batch in the layout of the reference, computed in float64.

    Returns:
        For each level labels (N, Hi * Wi); for its positives, image by image and row by row,
        reg_pos (P, 4) in strides and gtind_pos (P,), an index over the boxes of the whole batch.
    """
    like = torch.zeros((), dtype=torch.float64)
    grids = [
        LocationGrid.of_level(*size, stride)
        for size, stride in zip(level_sizes, strides, strict=True)
    ]
    locations = [level_locations(grid, like) for grid in grids]
    where = (grids, strides, size_ranges, center_sampling_radius)
    labels, ltrb, matched_idxs, num_boxes = [], [], [], 0
    for instances in gt_instances:
        boxes = instances.gt_boxes.tensor.double()
        targets = location_targets(boxes, instances.gt_classes, locations, *where, num_classes)
        labels.append(targets[0])
        ltrb.append(targets[1])
        matched_idxs.append(assign_locations(boxes, *where) + num_boxes)
        num_boxes += len(boxes)
    lengths = [len(x) for x in locations]
    fields = [torch.stack(x).split(lengths, dim=1) for x in (labels, ltrb, matched_idxs)]
    levels = []
    for level_labels, level_ltrb, level_idxs in zip(*fields, strict=True):
        positive = level_labels < num_classes
        levels.append(
            {
                "labels": level_labels,
                "reg_pos": level_ltrb[positive],
                "gtind_pos": level_idxs[positive],
            }
        )
    return levels


def assert_targets(actual: dict[str, Tensor], expected: dict[str, np.ndarray]) -> None:
    """Labels and indices exactly, distances to 1e-5 strides."""
    for field, tolerance in (("labels", 0), ("gtind_pos", 0), ("reg_pos", 1e-5)):
        reference = torch.from_numpy(expected[field])
        close = {"rtol": 0, "atol": tolerance, "check_dtype": False}
        torch.testing.assert_close(actual[field], reference, **close)


def assert_gradient_norms(
    actual: dict[str, float | None], expected: dict[str, float | None]
) -> None:
    """1e-5 relative; the gradient of a bias before a batch norm is rounding noise, hence 1e-6."""
    frozen = {key for key, norm in expected.items() if norm is None}
    assert {key for key, norm in actual.items() if norm is None} == frozen
    wanted = {key: norm for key, norm in expected.items() if key not in frozen}
    found = {key: norm for key, norm in actual.items() if key not in frozen}
    assert found == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def detection_arrays(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name: arrays[prefix + name] for name in ("boxes", "scores", "classes")}


def assert_detections(
    actual: Instances, expected_arrays: dict[str, np.ndarray], ordered: bool = True
) -> None:
    """Compares boxes to 1e-3 px and scores to 1e-6, classes and order exactly.

    Args:
        actual: with pred_boxes, scores, pred_classes.
        expected_arrays: boxes, scores and classes of the reference.
        ordered: False compares as sets, both sorted by score.
    """
    expected = {name: torch.from_numpy(array) for name, array in expected_arrays.items()}
    boxes, scores, classes = actual.pred_boxes.tensor, actual.scores, actual.pred_classes
    if not ordered:
        order, expected_order = scores.argsort(), expected["scores"].argsort()
        boxes, scores, classes = boxes[order], scores[order], classes[order]
        expected = {name: array[expected_order] for name, array in expected.items()}
    close = {"check_dtype": False, "rtol": 0}
    torch.testing.assert_close(classes, expected["classes"], atol=0, **close)
    torch.testing.assert_close(scores, expected["scores"], atol=1e-6, **close)
    torch.testing.assert_close(boxes, expected["boxes"], atol=1e-3, **close)


@dataclass
class Units:
    """The head-free cases (spec, section 6): shapes, boxes, results."""

    info: dict
    arrays: dict[str, np.ndarray]

    @property
    def level_sizes(self) -> list[tuple[int, int]]:
        return [tuple(size) for size in self.info["shapes"]]

    def ground_truth(self, batch: str) -> list[Instances]:
        """One `Instances` for each image of a batch."""
        gt_instances = []
        for name in self.info["batches"][batch]:
            boxes, classes = self.info["images"][name]
            instances = Instances((self.info["H"], self.info["W"]))
            instances.gt_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
            instances.gt_classes = torch.tensor(classes, dtype=torch.int64)
            gt_instances.append(instances)
        return gt_instances

    def targets(
        self, gt_instances: list[Instances], center_sampling_radius: float | None
    ) -> list[dict[str, Tensor]]:
        return level_targets(
            gt_instances,
            self.level_sizes,
            self.info["strides"],
            size_ranges_from_bounds([64, 128, 256, 512]),
            center_sampling_radius,
            self.info["num_classes"],
        )

    def head_outputs(self, num_images: int) -> HeadOutputs:
        return unit_predictions(self.level_sizes, num_images, self.info["num_classes"])

    def generator(self, outputs: HeadOutputs, **options) -> FCOSProposalGenerator:
        """A generator that is given these head outputs."""
        return FCOSProposalGenerator(
            head=RecordedHead(outputs),
            num_classes=self.info["num_classes"],
            in_features=["p3", "p4", "p5", "p6", "p7"],
            strides=self.info["strides"],
            size_bounds=[64, 128, 256, 512],
            yield_box_features=True,
            **options,
        ).double()

    def images(self, sizes: list[tuple[int, int]]) -> ImageList:
        return ImageList(torch.zeros(len(sizes), 3, self.info["H"], self.info["W"]), sizes)


@dataclass
class FullRun:
    """One inference and one training pass through a whole model with the reference weights."""

    cfg: CfgNode
    head: nn.Module
    features: dict[str, Tensor]  # of the backbone, in inference
    outputs: HeadOutputs  # of the head, in inference
    detections: list[Instances]
    losses: dict[str, float]
    grad_norms: dict[str, float | None]
    buffer_norms: dict[str, float]  # after the training pass


def run_full_model(golden_dir: Path, name: str, yaml: str) -> FullRun:
    """Runs inference and then training on the two images, in float64."""
    cfg = load_cfg(yaml, [])
    model = build_model(cfg).double()
    fill_model(model, read_json(golden_dir / f"{name}.json")["stem_factor"])
    head = model.proposal_generator.fcos_head
    batch = input_batch(golden_dir)

    seen = {}
    hooks = [
        model.backbone.register_forward_hook(lambda _, __, x: seen.update(features=x)),
        head.register_forward_hook(lambda _, __, x: seen.update(outputs=x)),
    ]
    with torch.no_grad():
        detections = [x["instances"] for x in model.eval()(batch)]
    for hook in hooks:
        hook.remove()

    losses = model.train()(batch)
    sum(losses.values()).backward()
    return FullRun(
        cfg=cfg,
        head=head,
        **seen,
        detections=detections,
        losses=to_floats(losses),
        grad_norms={
            key: None if x.grad is None else x.grad.norm().item()
            for key, x in model.named_parameters()
        },
        buffer_norms={key: x.double().norm().item() for key, x in model.named_buffers()},
    )


def recorded_model(run: FullRun, fcos_options: dict, outputs: HeadOutputs | None = None) -> FCOS:
    """The detector of `run` with changed MODEL.FCOS options, on head outputs made before.

    Its detections carry level, column and row of their location as box features.
    """
    cfg, outputs = run.cfg.clone(), outputs or run.outputs
    cfg.MODEL.FCOS.update({"YIELD_BOX_FEATURES": True, **fcos_options})
    strides = zip(cfg.MODEL.FCOS.IN_FEATURES, cfg.MODEL.FCOS.FPN_STRIDES, strict=True)
    backbone = NamesOnlyBackbone(
        {name: ShapeSpec(channels=run.features[name].shape[1], stride=s) for name, s in strides}
    )
    generator = build_proposal_generator(cfg, backbone.output_shape()).double()
    markers = location_markers(outputs.cls_logits)
    generator.fcos_head = RecordedHead(outputs._replace(box_features=markers))
    mean, std = cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD
    return FCOS(backbone=backbone, proposal_generator=generator, pixel_mean=mean, pixel_std=std)


def to_floats(losses: dict[str, Tensor]) -> dict[str, float]:
    return {name: loss.item() for name, loss in losses.items()}
