"""infer.yaml: what a runtime has to know beside the model file."""

from pathlib import Path

import yaml
from detectron2.data import transforms as T
from torch import Tensor

from fcos_deploy.settings import FILE_NAME, FORMAT_VERSION
from fcos_deploy.thresholds import DRAWN, as_written
from fcos_deploy.vision import class_color
from fcos_deploy.writing import write_text

from ..data.augmentation import TorchResizeShortestEdge
from ..data.mapper import FCOSDatasetMapper
from ..modeling import FCOS

HEADER = """\
# How fcos_deploy runs the model beside this file. Everything above `graph` can be edited, and is
# taken up at the next start:
#   resize      the image gets this short side, px, unless its long one would become longer
#   pixel_*     of each channel: grey level, minus mean, divided by std
#   thresholds  class_probability: what a location needs to become a candidate; nms_iou: overlap
#               above which the weaker box of a class goes; score: the lowest of a detection, for
#               all classes, or for each, {cat: 0.4, dog: 0.35}; draw: pictures and videos show what
#               scores more
# `graph` says what the model file takes.
"""


def resize_sides(mapper: FCOSDatasetMapper) -> tuple[int, int]:
    """Short and longest side of the test resize, px.

    Raises:
        ValueError: another way to prepare images than Pillow's resize to a short side.
    """
    augmentations = mapper.augmentations.augs
    resize = augmentations[0] if len(augmentations) == 1 else None
    if not isinstance(resize, T.ResizeShortestEdge) or isinstance(resize, TorchResizeShortestEdge):
        raise ValueError(
            "exported models are run with Pillow's resize to a short side (INPUT.RESIZE PIL); the "
            f"config prepares test images by {augmentations}"
        )
    return int(resize.short_edge_length[0]), int(resize.max_size)


def infer_settings(
    model: FCOS,
    mapper: FCOSDatasetMapper,
    class_names: list[str],
    *,
    model_file: str,
    format: str,
    fixed_size: tuple[int, int] | None,
    batch: int | None,
    raw_heads: bool,
) -> dict:
    """The content of infer.yaml.

    Args:
        model: that was exported.
        mapper: of its test images.
        class_names: K.
        model_file: name of the file beside infer.yaml.
        format: of this file.
        fixed_size: height and width of the input, px; None for any.
        batch: images at a time; None for any number.
        raw_heads: the outputs are boxes and scores of all locations.

    Raises:
        ValueError: see `resize_sides`.
    """
    generator = model.proposal_generator
    selection = generator.test_selection
    short_side, long_side = resize_sides(mapper)
    nms_iou, chosen = selection.nms_thresh, selection.min_scores
    return {
        "format_version": FORMAT_VERSION,
        "model": model_file,
        "format": format,
        "resize": {"short_side": short_side, "long_side": long_side},
        "pixel_mean": _numbers(model.pixel_mean),
        "pixel_std": _numbers(model.pixel_std),
        "thresholds": {
            "class_probability": selection.score_thresh,
            "nms_iou": nms_iou if nms_iou > 0 else None,
            "score": 0.0 if chosen is None else as_written(chosen, class_names),
            # What has been chosen is drawn, too.
            "draw": DRAWN if chosen is None else 0.0,
        },
        "classes": [
            {"name": name, "color_rgb": list(class_color(i))[::-1]}
            for i, name in enumerate(class_names)
        ],
        "graph": {
            "image_format": mapper.image_format,
            "size_divisibility": model.backbone.size_divisibility,
            "fixed_size": None if fixed_size is None else list(fixed_size),
            "batch": batch,
            "raw_heads": raw_heads,
            "strides": generator.strides,
            "max_detections": selection.max_detections,
        },
    }


def write_settings(settings: dict, folder: Path) -> None:
    """Writes infer.yaml."""
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, default_flow_style=None)
    write_text(folder / FILE_NAME, HEADER + text)


def _numbers(values: Tensor) -> list[float]:
    # Short in the file: float32 of 57.12 is 57.119998931884766.
    return [float(f"{x:.7g}") for x in values.flatten().tolist()]
