"""What is known of each model: weights that others published, and their and our numbers."""

from typing import NamedTuple

import torch

from ..checkpoint.known_files import DETECTORS, KnownFile
from .configs import get_model


class ModelEntry(NamedTuple):
    """One model of the zoo."""

    config: str
    weights: KnownFile | None  # trained by others; None: nobody has published any
    # Reported elsewhere: AP on COCO val (test-dev in brackets), and images/s on a GTX 1080 Ti at
    # batch 1. From AdelaiDet's configs/FCOS-Detection/README.md, or as `reported_by` says.
    reported_ap: str
    reported_fps: str
    reported_by: str
    measured: str  # by this project: on what, and where the figures are


def _entry(
    config: str, ap: str = "", fps: str = "", by: str = "AdelaiDet", measured: str = ""
) -> ModelEntry:
    return ModelEntry(config, DETECTORS.get(config), ap, fps, by if ap else "", measured)


MODELS = {
    entry.config: entry
    for entry in (
        _entry("FCOS/R50-1x", "38.7 (38.8)", "16"),
        _entry("FCOS/R50-1x-IoU", "39.4", "16"),
        _entry("FCOS/R50-MS-2x", "41.0 (41.4)", "16"),
        _entry("FCOS/R50-MS-2x-IoU", "41.5", "16"),
        _entry("FCOS/R101-MS-2x", "43.1 (43.2)", "12"),
        _entry("FCOS/R101-MS-2x-IoU", "43.5", "12"),
        _entry("FCOS/X101-32x8d-MS-2x", "43.9 (44.1)", "6.6"),
        _entry("FCOS/X101-32x8d-MS-2x-IoU", "44.5", "6.6"),
        _entry("FCOS/X101-32x8d-MS-2x-DCNv2", "46.6 (46.6)", "4.6"),
        _entry("FCOS/X101-32x8d-MS-2x-DCNv2-IoU", "47.4", "4.6"),
        _entry("FCOS/X101-64x4d-MS-2x", "44.7 (44.8)", "6.1"),
        _entry("FCOS/X101-64x4d-MS-2x-DCNv2"),
        _entry("FCOS/V39-MS-3x"),
        _entry("FCOS/V57-MS-3x"),
        _entry("FCOS/V99-MS-3x"),
        _entry("FCOS/R50-PAFPN-1x"),
        _entry("FCOS/R50-BiFPN-1x"),
        _entry("FCOS/R50-P2-1x"),
        _entry("FCOS/MobileNetV2-1x"),
        _entry("FCOS-RT/R50", "40.2 (40.2)", "38"),
        _entry("FCOS-RT/R50-BN-Head", "39.3 (39.7)", "40"),
        _entry("FCOS-RT/DLA34", "40.3 (40.3)", "46"),
        _entry("FCOS-RT/DLA34-BN-Head", "39.4 (39.9)", "48"),
        _entry("FCOS-RT/DLA34-SharedTowers", "39.1 (39.2)", "52"),
        _entry("FCOS-RT/DLA34-SharedTowers-BN-Head", "38.9 (39.1)", "52"),
        _entry("Converted/TorchVision-R50", "39.2", by="torchvision"),
        _entry("Converted/detectron2-R50"),
        _entry("Converted/mmdetection-R50"),
        _entry("Converted/tianzhi-Plain-R50", "37.1", by="tianzhi0549/FCOS"),
        _entry("PascalVOC/R50"),
        _entry("PascalVOC/R101"),
        _entry("PascalVOC/R50-keras-split", "AP50 68.92", by="keras-fcos"),
        _entry("TwoStage/FasterRCNN-R50-FCOS-1x"),
        _entry("TwoStage/MaskRCNN-R50-FCOS-1x"),
        _entry("Recipes/R18-Scratch", measured="on blood cells: docs/results.md"),
        _entry("Recipes/R50-RT-FineTune"),
        _entry("Recipes/R50-640"),
        _entry("Recipes/R50-Modern"),
        _entry("Recipes/R50-P2-SmallObjects"),
        _entry("Recipes/MobileNetV2-RT"),
    )
}


def table() -> str:
    """The zoo as a table in markdown; parameters are counted on the spot."""
    header = [
        "config",
        "parameters, M",
        "AP reported elsewhere",
        "images/s on a GTX 1080 Ti, reported elsewhere",
        "weights published elsewhere",
        "measured here",
    ]
    rows = [header, ["---"] * len(header), *(_row(entry) for entry in MODELS.values())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(entry: ModelEntry) -> list[str]:
    weights = "-"
    if entry.weights is not None:
        known = ", SHA-256 known" if entry.weights.sha256 else ""
        weights = f"[{entry.weights.licence}]({entry.weights.url}){known}"
    ap = f"{entry.reported_ap} {entry.reported_by}" if entry.reported_ap else "-"
    return [
        f"`{entry.config}`",
        f"{_num_parameters(entry.config) / 1e6:.1f}",
        ap,
        entry.reported_fps or "-",
        weights,
        entry.measured or "-",
    ]


def _num_parameters(config: str) -> int:
    with torch.device("meta"):  # without memory behind the tensors
        model = get_model(config, ["MODEL.DEVICE", "meta"])
    return sum(parameter.numel() for parameter in model.parameters())
