"""Keys that a config sets and that nothing obeys: in this model, or outside of fcos_d2's own tools.

What is said here is said once, where a model or an optimiser is built from a yaml config.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from detectron2.config import CfgNode
from detectron2.config import get_cfg as get_detectron2_cfg
from detectron2.utils.logger import log_first_n
from omegaconf import DictConfig, OmegaConf

from .checkpoint.known_files import KNOWN_FILES, ZOO
from .config import get_cfg

# Sections and keys of detectron2 that no part of a detector reads whose proposals are FCOS's...
NO_TWO_STAGE_PART_READS = (
    "GLOBAL",
    "MODEL.ANCHOR_GENERATOR",
    "MODEL.PANOPTIC_FPN",
    "MODEL.PROPOSAL_GENERATOR.MIN_SIZE",
    "MODEL.RETINANET",
    "MODEL.RPN",
    "MODEL.SEM_SEG_HEAD",
)
# ... those of a detector without a second stage ...
NO_ONE_STAGE_PART_READS = (
    *NO_TWO_STAGE_PART_READS,
    "MODEL.ROI_HEADS",
    "MODEL.ROI_BOX_HEAD",
    "MODEL.ROI_BOX_CASCADE_HEAD",
    "MODEL.ROI_MASK_HEAD",
    "MODEL.ROI_KEYPOINT_HEAD",
    "TEST.DETECTIONS_PER_IMAGE",
    "VIS_PERIOD",
)
# (with the one key of theirs that the loader reads) ...
READ_BY_THE_LOADER = "MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE"
# ... and those that our trainer and evaluation do not read.
NO_TOOL_OF_OURS_READS = ("SOLVER.REFERENCE_WORLD_SIZE", "TEST.KEYPOINT_OKS_SIGMAS")
UNREAD = {
    "FCOS": NO_ONE_STAGE_PART_READS,
    "OneStageDetector": NO_ONE_STAGE_PART_READS,
    "GeneralizedRCNN": NO_TWO_STAGE_PART_READS,
}
# Sections of which only the body, or the neck, of that name reads.
SECTIONS_OF_BACKBONES = {
    "MODEL.RESNETS": "resnet",
    "MODEL.DLA": "dla",
    "MODEL.VOVNET": "vovnet",
    "MODEL.MOBILENETV2": "mobilenetv2",
    "MODEL.TIMM": "timm",
    "MODEL.BIFPN": "bifpn",
}
# By the last word of such a key: what does for FCOS what it does elsewhere.
CURES = {
    "DETECTIONS_PER_IMAGE": "MODEL.FCOS.POST_NMS_TOPK_TEST",
    "SCORE_THRESH_TEST": "MODEL.FCOS.INFERENCE_TH_TEST",
    "NMS_THRESH_TEST": "MODEL.FCOS.NMS_TH",
    "NMS_THRESH": "MODEL.FCOS.NMS_TH",
    "TOPK_CANDIDATES_TEST": "MODEL.FCOS.PRE_NMS_TOPK_TEST",
    "PRE_NMS_TOPK_TRAIN": "MODEL.FCOS.PRE_NMS_TOPK_TRAIN",
    "PRE_NMS_TOPK_TEST": "MODEL.FCOS.PRE_NMS_TOPK_TEST",
    "POST_NMS_TOPK_TRAIN": "MODEL.FCOS.POST_NMS_TOPK_TRAIN",
    "POST_NMS_TOPK_TEST": "MODEL.FCOS.POST_NMS_TOPK_TEST",
    "NUM_CLASSES": "MODEL.FCOS.NUM_CLASSES",
    "IN_FEATURES": "MODEL.FCOS.IN_FEATURES",
    "NUM_CONVS": "MODEL.FCOS.NUM_CLS_CONVS and NUM_BOX_CONVS",
    "PRIOR_PROB": "MODEL.FCOS.PRIOR_PROB",
    "FOCAL_LOSS_ALPHA": "MODEL.FCOS.LOSS_ALPHA",
    "FOCAL_LOSS_GAMMA": "MODEL.FCOS.LOSS_GAMMA",
    "BBOX_REG_LOSS_TYPE": "MODEL.FCOS.LOC_LOSS_TYPE",
    "BBOX_REG_LOSS_WEIGHT": "MODEL.FCOS.LOSS_WEIGHT_LOC",
    "SIZES": "MODEL.FCOS.SIZES_OF_INTEREST; there are no anchors",
    "REFERENCE_WORLD_SIZE": "--auto-scale of fcos train",
}
# Keys of ours outside of MODEL that say how test images are seen; the others are about training.
TEST_KEYS = (
    *("INPUT.RESIZE", "INPUT.RESIZE_RULE_TEST"),
    *("TEST.SCORE_THRESH", "TEST.SLICE", "TEST.AUG"),
)

# Settings in `train` of a LazyConfig that only our loop obeys, with their defaults.
LAZY_KEYS = {
    "amp.precision": "fp16",
    "accumulate_steps": 1,
    "budget": 0.0,
    "ema.enabled": False,
    "fixed_statistics_share": 0.0,
    "validation_loss": False,
    "max_grad_norm": math.inf,
    "clip_each_parameter.type": "",
    "best_metric": "bbox/AP",
    "early_stop_patience": 0,
    "stall_minutes": 10.0,
    "logging.backends": ["tensorboard"],
    "logging.images": 0,
    "score_thresh": None,
    "slice.size": 0,
    "tta.enabled": False,
}

_our_tool = ContextVar("our_tool", default=False)


@contextmanager
def our_tool() -> Iterator[None]:
    """Models built inside are for a tool of ours, which obeys every key of ours."""
    token = _our_tool.set(True)
    try:
        yield
    finally:
        _our_tool.reset(token)


def say_at_model(cfg: CfgNode) -> None:
    """Warns, once, of what is set and has no effect on the model that is built from `cfg`."""
    _say_once(
        "nothing reads these keys for this detector, so they have no effect:",
        [f"{key} {value!r}{_cure(key)}" for key, value in keys_without_effect(cfg)],
    )
    if not _our_tool.get():
        _say_once(
            "only fcos_d2's own Predictor, Trainer and FCOSCheckpointer obey, detectron2's do not:",
            [f"{key} {value!r}" for key, value in keys_left_to_our_tools(cfg, training=False)],
        )


def say_at_optimizer(cfg: CfgNode) -> None:
    """Warns, once, of what is set and not obeyed where detectron2's own optimiser trains."""
    _say_once(
        "only fcos_d2.engine.Trainer obeys (INPUT, DATALOADER: FCOSDatasetMapper, too), "
        "detectron2's own trainers do not:",
        [f"{key} {value!r}" for key, value in keys_left_to_our_tools(cfg, training=True)],
    )


def say_at_lazy_optimizer(train: DictConfig) -> None:
    """As `say_at_optimizer`, for the section `train` of a LazyConfig."""
    values = {key: OmegaConf.select(train, key) for key in LAZY_KEYS}
    _say_once(
        "only fcos train obeys, detectron2's own loop does not:",
        [
            f"train.{key} {value!r}"
            for key, value in values.items()
            if value is not None and value != LAZY_KEYS[key]
        ],
    )


def keys_without_effect(cfg: CfgNode) -> list[tuple[str, object]]:
    """Keys that differ from their default and that nothing reads, with their values.

    Args:
        cfg: of a model with FCOS.
    """
    unread = list(UNREAD.get(cfg.MODEL.META_ARCHITECTURE, ()))
    if _our_tool.get():
        unread += NO_TOOL_OF_OURS_READS
    parts = cfg.MODEL.BACKBONE.NAME.split("_")
    if parts[:2] == ["build", "fcos"] and not cfg.MODEL.MOBILENET:
        others = [section for section, part in SECTIONS_OF_BACKBONES.items() if part not in parts]
        # Which features a body gives is often said in the base of several bodies.
        unread += [k for k in defaults() if is_in(k, others) and not k.endswith(".OUT_FEATURES")]
    changed = [x for x in _changed(cfg) if x[0] != READ_BY_THE_LOADER]
    return [(key, value) for key, value in changed if is_in(key, unread)]


def keys_left_to_our_tools(cfg: CfgNode, training: bool) -> list[tuple[str, object]]:
    """Keys that differ from their default and that no tool of detectron2 obeys, with their values.

    Args:
        cfg: of a model with FCOS.
        training: those of training; else those of the weights, and of test images.
    """
    ours = [x for x in _changed(cfg) if x[0] in added_keys() or x[0] == "TEST.AUG.ENABLED"]
    found = [x for x in ours if is_in(x[0], TEST_KEYS) != training]
    weights = cfg.MODEL.WEIGHTS
    if not training and (weights.startswith(ZOO) or weights in KNOWN_FILES):
        found.append(("MODEL.WEIGHTS", weights))
    return found


def _changed(cfg: CfgNode) -> Iterator[tuple[str, object]]:
    """Keys with another value than their default; yaml has lists where defaults are tuples."""
    values = leaves(cfg)
    for key, default in defaults().items():
        value = values.get(key, default)
        if _as_lists(value) != _as_lists(default):
            yield key, value


def _as_lists(value: object) -> object:
    return [_as_lists(x) for x in value] if isinstance(value, (list, tuple)) else value


def is_in(key: str, sections: tuple[str, ...] | list[str]) -> bool:
    """Whether a key is one of these, or in a section of that name."""
    return any(key == section or key.startswith(f"{section}.") for section in sections)


def _cure(key: str) -> str:
    name = key.rpartition(".")[2]
    return f" (set {CURES[name]})" if name in CURES else ""


def _say_once(what: str, keys: list[str]) -> None:
    if keys:
        log_first_n(logging.WARNING, f"{what} {', '.join(keys)}", name=__name__, key="message")


def leaves(cfg: CfgNode, prefix: str = "") -> dict[str, object]:
    """Values by their full names."""
    found: dict[str, object] = {}
    for key, value in cfg.items():
        name = f"{prefix}{key}"
        found |= leaves(value, f"{name}.") if isinstance(value, CfgNode) else {name: value}
    return found


@cache
def defaults() -> dict[str, object]:
    """Of all keys, by their full names."""
    return leaves(get_cfg())


@cache
def added_keys() -> set[str]:
    """Names of our keys outside of MODEL."""
    return {key for key in defaults().keys() - leaves(get_detectron2_cfg()) if key[:6] != "MODEL."}
