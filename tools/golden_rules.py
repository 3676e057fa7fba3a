"""How the golden data was made: weights, inputs, and which config a name stands for.

The rules are those of spec.md beside the data; every section that is named here is in it.
"""

import json
import math
import zlib
from pathlib import Path

import fcos_d2  # noqa: F401, first, because it silences a warning of detectron2

# isort: split
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn

from fcos_d2 import model_zoo
from fcos_d2.config import get_cfg
from fcos_d2.modeling.assignment import assign_locations, location_targets
from fcos_d2.modeling.geometry import LocationGrid, level_locations

# AdelaiDet's file -> our config.
CONFIGS = {
    "Base-FCOS.yaml": "FCOS/Base",
    "R_50_1x.yaml": "FCOS/R50-1x",
    "R_50_1x_iou.yaml": "FCOS/R50-1x-IoU",
    "MS_R_50_2x.yaml": "FCOS/R50-MS-2x",
    "MS_R_50_2x_iou.yaml": "FCOS/R50-MS-2x-IoU",
    "MS_R_101_2x.yaml": "FCOS/R101-MS-2x",
    "MS_R_101_2x_iou.yaml": "FCOS/R101-MS-2x-IoU",
    "MS_X_101_32x8d_2x.yaml": "FCOS/X101-32x8d-MS-2x",
    "MS_X_101_32x8d_2x_iou.yaml": "FCOS/X101-32x8d-MS-2x-IoU",
    "MS_X_101_32x8d_2x_dcnv2.yaml": "FCOS/X101-32x8d-MS-2x-DCNv2",
    "MS_X_101_32x8d_2x_dcnv2_iou.yaml": "FCOS/X101-32x8d-MS-2x-DCNv2-IoU",
    "MS_X_101_64x4d_2x.yaml": "FCOS/X101-64x4d-MS-2x",
    "MS_X_101_64x4d_2x_dcnv2.yaml": "FCOS/X101-64x4d-MS-2x-DCNv2",
    "vovnet/MS_V_39_3x.yaml": "FCOS/V39-MS-3x",
    "vovnet/MS_V_57_3x.yaml": "FCOS/V57-MS-3x",
    "vovnet/MS_V_99_3x.yaml": "FCOS/V99-MS-3x",
    "FCOS_RT/MS_R_50_4x_syncbn.yaml": "FCOS-RT/R50",
    "FCOS_RT/MS_R_50_4x_syncbn_bn_head.yaml": "FCOS-RT/R50-BN-Head",
    "FCOS_RT/MS_DLA_34_4x_syncbn.yaml": "FCOS-RT/DLA34",
    "FCOS_RT/MS_DLA_34_4x_syncbn_bn_head.yaml": "FCOS-RT/DLA34-BN-Head",
    "FCOS_RT/MS_DLA_34_4x_syncbn_shared_towers.yaml": "FCOS-RT/DLA34-SharedTowers",
    "FCOS_RT/MS_DLA_34_4x_syncbn_shared_towers_bn_head.yaml": "FCOS-RT/DLA34-SharedTowers-BN-Head",
}
# Names of options (section 12) that are not those of the keys under MODEL.FCOS.
OPTION_KEYS = {
    "LOC": "LOC_LOSS_TYPE",
    "NORMALIZER": "LOSS_NORMALIZER_CLS",
    "PRE_NMS_TOPK": "PRE_NMS_TOPK_TEST",
    "POST_NMS_TOPK": "POST_NMS_TOPK_TEST",
}
# Height and width that the boxes of the two images are scaled to (section 2).
OUTPUT_SIZES = {"A": (380, 500), "B": (240, 336)}


def read_json(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))


# --- configs ------------------------------------------------------------------------------------


def config_of(folder: Path, name: str) -> CfgNode:
    """Our config of a configuration, for the CPU.

    Args:
        folder: of the golden data; `name`.json in it tells file and options, where it exists.
        name: "R_50_1x", "RT_MS_R_50_4x_syncbn", "R_50_1x__NORM_none", ...

    Raises:
        ValueError: a name or option that is not known.
    """
    base, _, options = name.partition("__")
    info = folder / f"{name}.json"
    if info.is_file():
        yaml, opts = (read_json(info)[key] for key in ("yaml", "opts"))
    else:
        yaml, opts = yaml_of(base), []
        for text in options.split("__") if options else []:
            opts += options_of(text)
    if yaml not in CONFIGS:
        raise ValueError(f"{name}: no config is known for {yaml!r}")
    cfg = model_zoo.get_config(str(model_zoo.config_root() / f"{CONFIGS[yaml]}.yaml"))
    cfg.merge_from_list(opts)
    cfg.MODEL.DEVICE = "cpu"
    return cfg


def yaml_of(base: str) -> str:
    """AdelaiDet's file of a name without options."""
    if base.startswith("RT_"):
        return f"FCOS_RT/{base.removeprefix('RT_')}.yaml"
    return f"vovnet/{base}.yaml" if base.startswith("MS_V_") else f"{base}.yaml"


def options_of(text: str) -> list:
    """Overrides for the text of an option, such as "BOX_QUALITY_iou_LOC_iou"."""
    fcos = get_cfg().MODEL.FCOS
    keys = {**{key: key for key in fcos}, **OPTION_KEYS}
    opts, words = [], text.split("_")
    while words:
        lengths = range(len(words), 0, -1)
        found = next((n for n in lengths if "_".join(words[:n]) in keys), None)
        if found is None:
            raise ValueError(f"option {text!r}: no key of MODEL.FCOS at {'_'.join(words)!r}")
        key, words, value = keys["_".join(words[:found])], words[found:], []
        while words and not any("_".join(words[:n]) in keys for n in range(1, len(words) + 1)):
            value.append(words.pop(0))
        opts += [f"MODEL.FCOS.{key}", _parse("_".join(value), fcos[key])]
        if key == "TOP_LEVELS":
            opts += _levels(int(opts[-1]))
    return opts


def _parse(value: str, default: object) -> object:
    if isinstance(default, bool):
        return value != "off"
    return type(default)(value) if isinstance(default, (int, float)) else value


def _levels(top_levels: int) -> list:
    num = 3 + top_levels
    return [
        "MODEL.FCOS.IN_FEATURES",
        [f"p{i + 3}" for i in range(num)],
        "MODEL.FCOS.FPN_STRIDES",
        [8 * 2**i for i in range(num)],
        "MODEL.FCOS.SIZES_OF_INTEREST",
        [64 * 2**i for i in range(num - 1)],
    ]


# --- weights (section 1) ------------------------------------------------------------------------


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


def fill_model(model: nn.Module, stem_factor: float) -> None:
    """Loads the reference weights; the model must be in float64."""
    state = model.state_dict()
    for key, value in state.items():
        # The moving number of positives is no entry of the reference's state dict.
        if not key.endswith("moving_num_pos"):
            filled = fill_value(key, tuple(value.shape), stem_factor)
            state[key] = torch.as_tensor(filled)
    model.load_state_dict(state)


# --- inputs (section 2) -------------------------------------------------------------------------


def input_batch(folder: Path) -> list[dict]:
    """The two images A and B, with ground truth, in detectron2's format."""
    arrays = np.load(folder / "inputs.npz")
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


# --- our results in the layout of the data ------------------------------------------------------


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


def level_targets(
    gt_instances: list[Instances],
    grids: list[LocationGrid],
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
