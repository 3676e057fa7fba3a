"""How the golden data was made: the rules of its weights and of its input images."""

import json
import math
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import fcos_d2  # noqa: F401, first, because it silences a warning of detectron2

# isort: split
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.structures import Boxes, Instances
from torch import nn


class Input(NamedTuple):
    """One of the two images."""

    seed: int
    size: tuple[int, int]  # height and width of the image, px
    output_size: tuple[int, int]  # height and width that the boxes are scaled to, px
    boxes: tuple = ()  # ground truth, xyxy px
    classes: tuple = ()


INPUTS = {
    "A": Input(
        seed=101,
        size=(190, 250),
        output_size=(380, 500),
        boxes=(
            (36, 36, 164, 164),
            (2, 10, 248, 180),
            (70, 80, 118, 124),
            (84, 84, 116, 116),
            (180, 20, 212, 52),
            (196.5, 30.25, 240.75, 78.5),
            (10.5, 120.25, 40, 170.75),
            (60, 60, 140, 140),
            (-100, -80, 420, 300),
            (-600, -400, 900, 700),
            (20, 20, 36, 36),
            (60, 60, 140, 140),
        ),
        classes=(0, 17, 3, 79, 41, 41, 5, 22, 60, 12, 1, 33),
    ),
    "B": Input(seed=202, size=(160, 224), output_size=(240, 336)),
}


def read_json(path: Path) -> dict | list:
    """
    Raises:
        ValueError: no json; the file is named.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: no json file: {error}") from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """
    Raises:
        ValueError: no npz file; it is named.
    """
    try:
        with np.load(path) as arrays:
            return dict(arrays)
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: no npz file: {error}") from error


# --- weights --------------------------------------------------------------------------------------


def fill_value(key: str, shape: tuple[int, ...], stem_factor: float) -> np.ndarray:
    """The reference value of one entry of the state dict."""
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


def stem_factor_of(cfg: CfgNode) -> float:
    """The factor of the first convolution: images whose pixels are not divided are large."""
    return 1 / 60 if cfg.MODEL.PIXEL_STD[0] == 1.0 else 1.0


def fill_model(model: nn.Module, stem_factor: float) -> None:
    """Loads the reference weights; the model must be in float64."""
    state = model.state_dict()
    for key, value in state.items():
        # The moving number of positives is no entry of the reference's state dict.
        if not key.endswith("moving_num_pos"):
            filled = fill_value(key, tuple(value.shape), stem_factor)
            state[key] = torch.as_tensor(filled)
    model.load_state_dict(state)


# --- inputs ---------------------------------------------------------------------------------------


def input_image(entry: Input) -> np.ndarray:
    """(3, H, W) uint8, BGR: a coarse random grid, drawn large, and noise on it."""
    random = np.random.RandomState(entry.seed)
    grid = random.uniform(0, 255, (3, *((side + 23) // 24 + 2 for side in entry.size)))
    (rows, below), (columns, right) = (_split(np.arange(side) / 24) for side in entry.size)
    below = below[:, None]
    image = grid[:, rows] * (1 - below) + grid[:, rows + 1] * below  # (3, H, columns of the grid)
    image = image[..., columns] * (1 - right) + image[..., columns + 1] * right
    noise = random.standard_normal(image.shape)
    return np.clip(np.rint(image + 12 * noise), 0, 255).astype(np.uint8)


def _split(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole part and the rest."""
    whole = positions.astype(int)
    return whole, positions - whole


def input_batch(folder: Path) -> list[dict]:
    """The two images A and B, with ground truth, in detectron2's format.

    From inputs.npz of the folder, or by the rule where there is none.
    """
    path = folder / "inputs.npz"
    stored = read_arrays(path) if path.is_file() else _inputs_by_rule()
    batch = []
    for name, entry in INPUTS.items():
        image = torch.from_numpy(stored[f"image_{name}"])
        instances = Instances(tuple(image.shape[1:]))
        instances.gt_boxes = Boxes(torch.from_numpy(stored[f"gt_boxes_{name}"]))
        instances.gt_classes = torch.from_numpy(stored[f"gt_classes_{name}"])
        height, width = entry.output_size
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


def _inputs_by_rule() -> dict[str, np.ndarray]:
    """The arrays of inputs.npz."""
    arrays = {}
    for name, entry in INPUTS.items():
        arrays[f"image_{name}"] = input_image(entry)
        arrays[f"gt_boxes_{name}"] = np.array(entry.boxes, dtype=np.float32).reshape(-1, 4)
        arrays[f"gt_classes_{name}"] = np.array(entry.classes, dtype=np.int64)
    return arrays
