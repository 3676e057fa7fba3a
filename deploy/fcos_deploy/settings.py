"""infer.yaml: what there is to know about an exported model beside its graph."""

from dataclasses import dataclass
from pathlib import Path

import yaml

FORMAT_VERSION = 1
FORMATS = ("onnx", "openvino")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Read by `read_settings`; sizes in px."""

    model_path: Path
    format: str  # one of FORMATS
    score_threshold: float
    short_side: int  # of the resize
    long_side: int
    class_names: list[str]
    class_colors: list[tuple[int, int, int]]  # BGR
    image_format: str  # channel order of the input, "BGR" or "RGB"
    size_divisibility: int  # of the sides of the input
    fixed_size: tuple[int, int] | None  # height and width of the input; None for any
    batch: int | None  # images at a time; None for any number


def read_settings(folder: str | Path) -> Settings:
    """Reads infer.yaml of the folder of an exported model.

    Raises:
        ValueError: no such file, another version, or a value that is missing or not possible;
            names the file, the key and what is legal.
    """
    path = Path(folder) / "infer.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise ValueError(
            f"{path}: no such file; --model names the folder that tools/export_model.py wrote"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a yaml file: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not the settings of an exported model")
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{path}: format_version is {version!r}, this fcos_deploy reads {FORMAT_VERSION}"
        )
    try:
        return _settings_of(content, path.parent)
    except KeyError as error:
        raise ValueError(f"{path}: the key {error} is missing") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _settings_of(content: dict, folder: Path) -> Settings:
    graph, resize = content["graph"], content["resize"]
    if content["format"] not in FORMATS:
        raise ValueError(
            f"format {content['format']!r} does not run without torch; export to {FORMATS}"
        )
    if graph["raw_heads"]:
        raise ValueError("exported with --raw-heads, for engines with a suppression of their own")
    threshold = float(content["score_threshold"])
    if not 0 <= threshold < 1:
        raise ValueError(f"score_threshold must be in [0, 1), got {threshold}")
    sides = int(resize["short_side"]), int(resize["long_side"])
    if not 1 <= sides[0] <= sides[1]:
        raise ValueError(f"resize: short_side must be in [1, long_side], got {sides}")
    model_path = folder / content["model"]
    if not model_path.exists():
        raise ValueError(f"model {model_path} does not exist")
    fixed = graph["fixed_size"]
    return Settings(
        model_path=model_path,
        format=content["format"],
        score_threshold=threshold,
        short_side=sides[0],
        long_side=sides[1],
        class_names=[str(x["name"]) for x in content["classes"]],
        class_colors=[tuple(int(v) for v in x["color_rgb"])[::-1] for x in content["classes"]],
        image_format=graph["image_format"],
        size_divisibility=int(graph["size_divisibility"]),
        fixed_size=None if fixed is None else (int(fixed[0]), int(fixed[1])),
        batch=graph["batch"],
    )
