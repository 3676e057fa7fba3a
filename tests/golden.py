"""Golden results of parts of FCOS on synthetic head outputs ("units", section 6 of spec.md)."""

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from detectron2.structures import Boxes, ImageList, Instances
from golden_rules import level_targets, location_markers
from torch import Tensor, nn

from fcos_d2.modeling import FCOSProposalGenerator
from fcos_d2.modeling.assignment import size_ranges_from_bounds
from fcos_d2.modeling.geometry import LocationGrid
from fcos_d2.modeling.head import HeadOutputs


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


class RecordedHead(nn.Module):
    """In the place of a head: gives outputs that were made before, whatever the features."""

    def __init__(self, outputs: HeadOutputs) -> None:
        super().__init__()
        self.num_classes = outputs.cls_logits[0].shape[1]
        self.num_levels = len(outputs.cls_logits)
        self.outputs = outputs

    def forward(self, features: list) -> HeadOutputs:
        return self.outputs


def assert_targets(actual: dict[str, Tensor], expected: dict[str, np.ndarray]) -> None:
    """Labels and indices exactly, distances to 1e-5 strides."""
    for field, tolerance in (("labels", 0), ("gtind_pos", 0), ("reg_pos", 1e-5)):
        reference = torch.from_numpy(expected[field])
        close = {"rtol": 0, "atol": tolerance, "check_dtype": False}
        torch.testing.assert_close(actual[field], reference, **close)


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
        strides = self.info["strides"]
        return level_targets(
            gt_instances,
            [
                LocationGrid.of_level(*size, stride)
                for size, stride in zip(self.level_sizes, strides, strict=True)
            ],
            strides,
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


def to_floats(losses: dict[str, Tensor]) -> dict[str, float]:
    return {name: loss.item() for name, loss in losses.items()}
