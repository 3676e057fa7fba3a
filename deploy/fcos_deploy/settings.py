"""infer.yaml: everything about an exported model that is not in its graph."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .text import read_yaml, shown
from .thresholds import Thresholds, thresholds_of

FORMAT_VERSION = 1
FILE_NAME = "infer.yaml"
FORMATS = ("onnx", "openvino")  # that fcos_deploy can run


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Read by `read_settings`; sizes in px."""

    model_path: Path
    format: str  # one of FORMATS
    short_side: int  # of the resize
    long_side: int
    pixel_mean: tuple[float, ...]  # in the channel order of the input, grey levels
    pixel_std: tuple[float, ...]
    class_probability: float  # that a location needs to become a candidate
    nms_iou: float | None  # above it the weaker box of a class is removed; None: never
    score: Thresholds  # lowest of a detection, for each class
    draw: float  # detections with a score above it are drawn
    class_names: list[str]
    class_colors: list[tuple[int, int, int]]  # BGR
    image_format: str  # channel order of the input, "BGR" or "RGB"
    size_divisibility: int  # of the sides of the input
    fixed_size: tuple[int, int] | None  # height and width of the input; None for any
    batch: int | None  # images at a time; None for any number
    raw_heads: bool  # the outputs are boxes and scores of all locations


def read_settings(folder: str | Path) -> Settings:
    """Reads infer.yaml of the folder of an exported model.

    Raises:
        ValueError: no such file, another version, or a value that is missing or not possible;
            names the file, the key and what is allowed.
    """
    path = Path(folder) / FILE_NAME
    if not path.is_file():
        raise ValueError(f"{path}: no such file; the model is a folder that `fcos export` wrote")
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not the settings of an exported model")
    if content.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{path}: format_version is {content.get('format_version')!r}, this fcos_deploy reads "
            f"{FORMAT_VERSION}"
        )
    try:
        return _settings_of(content, path.parent)
    except KeyError as error:
        raise ValueError(f"{path}: the key {error} is missing") from None
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{path}: {error}") from None


def _settings_of(content: dict, folder: Path) -> Settings:
    graph, thresholds = content["graph"], content["thresholds"]
    if content["format"] not in FORMATS:
        raise ValueError(
            f"the format {shown(content['format'])} needs torch; fcos_deploy runs "
            f"{' and '.join(FORMATS)}"
        )
    model_path = folder / str(content["model"])
    if not model_path.is_file():
        raise ValueError(f"model: there is no file {shown(model_path)}")
    sides = content["resize"]["short_side"], content["resize"]["long_side"]
    if not all(type(side) is int for side in sides) or not 1 <= sides[0] <= sides[1]:
        raise ValueError(f"resize: need whole numbers, 1 <= short_side <= long_side, got {sides}")
    nms_iou = thresholds["nms_iou"]
    fixed = graph["fixed_size"]
    class_names = [_name(x["name"]) for x in content["classes"]]
    return Settings(
        model_path=model_path,
        format=content["format"],
        short_side=sides[0],
        long_side=sides[1],
        pixel_mean=_channels("pixel_mean", content["pixel_mean"], -math.inf),
        pixel_std=_channels("pixel_std", content["pixel_std"], 0),
        class_probability=_share("class_probability", thresholds["class_probability"]),
        nms_iou=None if nms_iou is None else _share("nms_iou", nms_iou),
        score=_score(thresholds["score"], class_names),
        draw=_share("draw", thresholds["draw"]),
        class_names=class_names,
        class_colors=[_bgr(x["name"], x["color_rgb"]) for x in content["classes"]],
        image_format=graph["image_format"],
        size_divisibility=graph["size_divisibility"],
        fixed_size=None if fixed is None else (fixed[0], fixed[1]),
        batch=graph["batch"],
        raw_heads=graph["raw_heads"],
    )


def _share(key: str, value: object) -> float:
    if not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ValueError(f"thresholds: {key} must be in [0, 1), got {value!r}")
    return float(value)


def _score(value: object, class_names: list[str]) -> Thresholds:
    try:
        return thresholds_of(value, class_names)
    except ValueError as error:
        raise ValueError(f"thresholds: score: {error}") from None


def _channels(key: str, values: Sequence, above: float) -> tuple[float, ...]:
    numbers = [isinstance(x, (int, float)) and math.isfinite(x) and x > above for x in values]
    if len(values) != 3 or not all(numbers):
        kind = "numbers above 0" if above == 0 else "numbers"
        raise ValueError(f"{key} must be three {kind}, got {values}")
    return tuple(float(x) for x in values)


def _name(name: object) -> str:
    if not isinstance(name, str):  # yaml reads no as False
        raise ValueError(f"classes: the name {name!r} must be text; write it in quotes")
    return name


def _bgr(name: object, rgb: Sequence) -> tuple[int, int, int]:
    if len(rgb) != 3 or not all(type(x) is int and 0 <= x <= 255 for x in rgb):
        raise ValueError(f"classes: color_rgb of {name!r} must be three of 0..255, got {rgb}")
    return rgb[2], rgb[1], rgb[0]
