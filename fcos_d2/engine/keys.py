"""The arguments of a run, and what each is called in the two kinds of config.

Errors and log lines name an argument in backquotes, as in "`max_iter` is 0". Where a run comes from
a config, `with_keys` adds what its user would write: "max_iter (SOLVER.MAX_ITER) is 0".
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

Kind = Literal["yaml", "lazy"]

# Argument: key in a yaml config, path in a LazyConfig.
KEYS = {
    "accumulate_steps": ("SOLVER.ACCUMULATE_STEPS", "train.accumulate_steps"),
    "backbone_lr_factor": (
        "SOLVER.BACKBONE_LR_FACTOR",
        "optimizer.params.backbone_lr_factor",
    ),
    "backends": ("LOGGING.BACKENDS", "train.logging.backends"),
    "base_lr": ("SOLVER.BASE_LR", "optimizer.lr"),
    "best_metric": ("TEST.BEST_METRIC", "train.best_metric"),
    "budget": ("SOLVER.BUDGET", "train.budget"),
    "clip_kind": ("SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "train.clip_each_parameter.type"),
    "decay": ("SOLVER.EMA.DECAY", "train.ema.decay"),
    "device": ("MODEL.DEVICE", "train.device"),
    "eval_period": ("TEST.EVAL_PERIOD", "train.eval_period"),
    "fixed_statistics_share": ("SOLVER.FIXED_STATISTICS_SHARE", "train.fixed_statistics_share"),
    "flat_share": ("SOLVER.FLAT_SHARE", "lr_multiplier.scheduler.flat_share"),
    "images": ("LOGGING.IMAGES", "train.logging.images"),
    "layer_decay": ("SOLVER.LAYER_DECAY", "optimizer.params.layer_decay"),
    "max_detections": (
        "MODEL.FCOS.POST_NMS_TOPK_TEST",
        "model.proposal_generator.test_selection.max_detections",
    ),
    "max_detections_of_two_stages": (
        "TEST.DETECTIONS_PER_IMAGE",
        "model.roi_heads.box_predictor.test_topk_per_image",
    ),
    "max_dets_per_image": (
        "TEST.COCO_MAX_DETECTIONS",
        "dataloader.evaluator.max_dets_per_image",
    ),
    "max_iter": ("SOLVER.MAX_ITER", "train.max_iter"),
    "output_dir": ("OUTPUT_DIR", "train.output_dir"),
    "patience": ("TEST.EARLY_STOP_PATIENCE", "train.early_stop_patience"),
    "precision": ("SOLVER.AMP.PRECISION", "train.amp.precision"),
    "score_thresh": ("TEST.SCORE_THRESH", "train.score_thresh"),
    "slice_size": ("TEST.SLICE.SIZE", "train.slice.size"),
    "stall_minutes": ("SOLVER.STALL_MINUTES", "train.stall_minutes"),
    "total_batch_size": ("SOLVER.IMS_PER_BATCH", "dataloader.train.total_batch_size"),
    "tta": ("TEST.AUG.ENABLED", "train.tta.enabled"),
    "validation_loss": ("TEST.LOSS", "train.validation_loss"),
    "weights": ("MODEL.WEIGHTS", "train.init_checkpoint"),
}
_NAMED = re.compile(r"`(\w+)(=[^`]*)?`")


def overrides(values: Mapping[str, object], kind: Kind) -> list[str]:
    """The words of a command line that give a config these values, by argument."""
    if kind == "lazy":
        return [f"{key_of(name, kind)}={value}" for name, value in values.items()]
    return [str(word) for name, value in values.items() for word in (key_of(name, kind), value)]


def key_of(argument: str, kind: Kind) -> str:
    """What a config calls an argument."""
    return KEYS[argument][0 if kind == "yaml" else 1]


def with_keys(text: str, kind: Kind | None) -> str:
    """The text with the keys of the arguments that it names.

    `max_iter` becomes "max_iter (SOLVER.MAX_ITER)"; `max_iter=9`, an advice, becomes what is
    written on the command line: "SOLVER.MAX_ITER 9" or "train.max_iter=9". Without a kind of
    config the text stays.
    """
    if kind is None:
        return text

    def with_key(found: re.Match) -> str:
        name, value = found.groups()
        if name not in KEYS:
            return found[0]
        key = key_of(name, kind)
        if value is None:
            return f"{name} ({key})"
        return f"{key} {value[1:]}" if kind == "yaml" else f"{key}{value}"

    return _NAMED.sub(with_key, text)


@contextmanager
def adding_keys(kind: Kind) -> Iterator[None]:
    """Within, a ValueError leaves with the keys of a config in its text."""
    try:
        yield
    except ValueError as error:
        if len(error.args) == 1 and isinstance(error.args[0], str):
            error.args = (with_keys(error.args[0], kind),)
        raise
