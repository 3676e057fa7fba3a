"""Parts of FCOS on synthetic head outputs against recorded results ("units").

Targets, losses with their gradients, and selection; no network is run.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path

import golden_rules as rules
import numpy as np
import torch
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, ImageList, Instances
from golden_compare import (
    GRADIENT,
    TARGET,
    Report,
    compare_detections,
    compare_losses,
    level_targets,
    location_markers,
)
from torch import Tensor, nn

from fcos_d2.modeling import (
    Criterion,
    FCOSProposalGenerator,
    FocalLoss,
    LossNormalizers,
    Selection,
    SizeRangeAssigner,
)
from fcos_d2.modeling.geometry import LocationGrid
from fcos_d2.modeling.head import HeadOutputs

SIZE_BOUNDS = [64, 128, 256, 512]
# The options of each case, by the part of the generator that has them.
LOSS_OPTIONS = {
    "default": {},
    "center_sample_off": {"assigner": {"center_sampling_radius": None}},
    "radius_1": {"assigner": {"center_sampling_radius": 1.0}},
    "loc_iou": {"criterion": {"loc_loss_type": "iou"}},
    "loc_linear_iou": {"criterion": {"loc_loss_type": "linear_iou"}},
    "quality_iou": {"criterion": {"box_quality": "iou"}},
    "quality_iou_loc_iou": {"criterion": {"box_quality": "iou", "loc_loss_type": "iou"}},
    "norm_all": {"normalizer": {"kind": "all"}},
    "norm_moving": {"normalizer": {"kind": "moving_fg"}},
    "weight_cls_2": {"criterion": {"loss_weight_cls": 2.0}},
    "focal_a5_g15": {"criterion": {"cls_loss": FocalLoss(alpha=0.5, gamma=1.5)}},
}
INFERENCE_OPTIONS = {
    "default": {},
    "thresh_with_ctr": {"thresh_with_quality": True},
    "post20": {"max_detections": 20},
    "pre50": {"topk_candidates": 50},
    "nms_off": {"nms_thresh": 0.0},
    "nms_03": {"nms_thresh": 0.3},
    "thr_099": {"score_thresh": 0.99},
}
# Input and output height and width of the two images of the inference cases.
INFERENCE_SIZES = (((250, 320), (375, 480)), ((200, 300), (100, 150)))


class RecordedHead(nn.Module):
    """In the place of a head: gives outputs that were made before, whatever the features."""

    def __init__(self, outputs: HeadOutputs) -> None:
        super().__init__()
        self.num_classes = outputs.cls_logits[0].shape[1]
        self.num_levels = len(outputs.cls_logits)
        self.quality_branch = True
        self.outputs = outputs

    def forward(self, features: list) -> HeadOutputs:
        return self.outputs


@dataclass
class Units:
    """The shapes, boxes and results."""

    info: dict
    arrays: dict[str, np.ndarray]

    @classmethod
    def read(cls, folder: Path) -> "Units":
        return cls(rules.read_json(folder / "units.json"), rules.read_arrays(folder / "units.npz"))

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

    def head_outputs(self, num_images: int) -> HeadOutputs:
        """Synthetic outputs, float64; the box features name the location."""
        num_classes = self.info["num_classes"]
        fields = (
            self._draw("logits", num_images, num_classes),
            self._draw("reg", num_images, 4),
            self._draw("ctr", num_images, 1),
        )
        cls_logits = [_via_float32(1.5 * x - 3) for x in fields[0]]
        ltrb = [_via_float32(np.maximum(2 + 1.2 * x, 0)) for x in fields[1]]
        quality_logits = [_via_float32(x) for x in fields[2]]
        return HeadOutputs(cls_logits, ltrb, quality_logits, location_markers(cls_logits))

    def _draw(self, name: str, num_images: int, channels: int) -> list[np.ndarray]:
        levels = []
        for level, size in enumerate(self.info["shapes"]):
            seed = zlib.crc32(f"unit.{name}.{level}.{num_images}".encode())
            random = np.random.RandomState(seed)
            levels.append(random.standard_normal((num_images, channels, *size)))
        return levels

    def generator(self, outputs: HeadOutputs, options: dict) -> FCOSProposalGenerator:
        """A generator that is given these head outputs."""
        return FCOSProposalGenerator(
            head=RecordedHead(outputs),
            in_features=[f"p{i + 3}" for i in range(len(self.info["strides"]))],
            strides=self.info["strides"],
            assigner=self.assigner(options),
            criterion=Criterion(**options.get("criterion", {})),
            normalizer=LossNormalizers(**options.get("normalizer", {})),
            test_selection=Selection(**options.get("test_selection", {})),
            yield_box_features=True,
        ).double()

    def assigner(self, options: dict) -> SizeRangeAssigner:
        return SizeRangeAssigner(size_bounds=SIZE_BOUNDS, **options.get("assigner", {}))

    def images(self, sizes: list[tuple[int, int]]) -> ImageList:
        return ImageList(torch.zeros(len(sizes), 3, self.info["H"], self.info["W"]), sizes)

    def targets(self, gt_instances: list[Instances], options: dict) -> dict[str, Tensor]:
        """Labels (N, R); reg_pos and gtind_pos of the positives, level after level; num_pos."""
        levels = level_targets(
            gt_instances,
            [
                LocationGrid.of_level(*size, stride)
                for size, stride in zip(self.info["shapes"], self.info["strides"], strict=True)
            ],
            self.assigner(options),
            self.info["num_classes"],
        )
        labels = torch.cat([x["labels"] for x in levels], dim=1)
        positives = {key: torch.cat([x[key] for x in levels]) for key in ("reg_pos", "gtind_pos")}
        num_pos = torch.tensor([len(x["reg_pos"]) for x in levels])
        return {"labels": labels, "num_pos": num_pos, **positives}


def _via_float32(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).double()


def reference_is_defective(batch: str, options: dict) -> bool:
    """A first box centred on x = 0 empties the image, with centre sampling.

    `center_x0_second` lists the boxes of `center_x0_first` the other way round.
    """
    return batch == "center_x0_first" and options != LOSS_OPTIONS["center_sample_off"]


def check_units(folder: Path) -> Report:
    """Compares every result of units.json and every array of units.npz."""
    report, units = Report("units"), Units.read(folder)
    left = dict(units.arrays)
    sums = units.head_outputs(num_images=3)[:3]
    for name, levels in zip(("logits", "reg", "ctr"), sums, strict=True):
        expected = units.info["pred_checksum"][f"{name}_l0_n3_sum"]
        report.compare(f"sum of {name}", levels[0].sum().item(), expected, 1e-9)
    for case in units.info["results"]:
        batch, option = case.split(".")
        if option not in LOSS_OPTIONS:
            report.misses.append(f"{case}: no such option is known")
            continue
        _check_targets(report, units, batch, option, left)
        _check_losses(report, units, batch, option)
    for option in units.info["inference"]:
        if option not in INFERENCE_OPTIONS:
            report.misses.append(f"inf.{option}: no such option is known")
            continue
        _check_inference(report, units, option, left)
    report.checked += ["targets", "losses", "gradients", "detections"]
    report.nothing_left(left)
    return report


def _check_targets(report: Report, units: Units, batch: str, option: str, left: dict) -> None:
    options = LOSS_OPTIONS[option]
    actual, case = units.targets(units.ground_truth(batch), options), f"{batch}.{option}"
    stored = [key for key in ("labels", "reg_pos", "gtind_pos") if f"{case}.{key}" in left]
    for key in stored:
        del left[f"{case}.{key}"]
    if reference_is_defective(batch, options):
        case = f"center_x0_second.{option}"
        first_image = actual["gtind_pos"] < 2  # boxes; the second image has the others
        swapped = torch.where(first_image, 1 - actual["gtind_pos"], actual["gtind_pos"])
        actual["gtind_pos"] = swapped
    num_pos = units.info["results"][case]["num_pos"]
    report.same(f"{batch}.{option} positives per level", actual["num_pos"].tolist(), num_pos)
    for key in stored:
        expected, what = units.arrays[f"{case}.{key}"], f"{batch}.{option} {key}"
        if key == "reg_pos":
            report.compare(what, actual[key], expected, TARGET, scale=1.0)
        else:
            report.same(what, actual[key].tolist(), expected.tolist())


def _check_losses(report: Report, units: Units, batch: str, option: str) -> None:
    options, case = LOSS_OPTIONS[option], f"{batch}.{option}"
    ground_truth = units.ground_truth(batch)
    outputs = units.head_outputs(len(ground_truth))
    for x in (*outputs.cls_logits, *outputs.ltrb_in_strides, *outputs.quality_logits):
        x.requires_grad_()
    generator = units.generator(outputs, options).train()
    images = units.images([(units.info["H"], units.info["W"])] * len(ground_truth))
    features = dict.fromkeys(generator.in_features)
    defective = reference_is_defective(batch, options)
    expected = units.info["results"][f"center_x0_second.{option}" if defective else case]

    _, losses = generator(images, features, ground_truth)
    sum(losses.values()).backward()
    compare_losses(report, case, losses, expected["losses"])
    norms = [torch.cat([x.grad.flatten() for x in field]).norm() for field in outputs[:3]]
    expected_norms = expected["grad_norm_logits_reg_ctr"]
    report.compare(f"{case} gradients", norms, expected_norms, GRADIENT)
    if "second_call" in expected:
        _, losses = generator(images, features, ground_truth)
        compare_losses(report, f"{case} second", losses, expected["second_call"])


def _check_inference(report: Report, units: Units, option: str, left: dict) -> None:
    outputs = units.head_outputs(len(INFERENCE_SIZES))
    generator = units.generator(outputs, {"test_selection": INFERENCE_OPTIONS[option]}).eval()
    images = units.images([size for size, _ in INFERENCE_SIZES])
    detections, _ = generator(images, dict.fromkeys(generator.in_features))
    # Without suppression the reference does not sort by score.
    ordered = option != "nms_off"
    for i, (found, (_, output_size)) in enumerate(zip(detections, INFERENCE_SIZES, strict=True)):
        case = f"inf.{option}.{i}"
        expected = {
            key: left.pop(f"{case}.{key}") for key in ("boxes", "scores", "classes", "levels")
        }
        compare_detections(report, case, found, expected, generator.strides, ordered)
        final = detector_postprocess(found, *output_size)
        expected = {key: left.pop(f"{case}.post_{key}") for key in ("boxes", "scores", "classes")}
        compare_detections(report, f"{case}.post", final, expected, generator.strides, ordered)
