"""Optimisers and learning-rate schedules by config."""

import math
import re

from detectron2.config import CfgNode
from detectron2.solver import LRMultiplier, WarmupParamScheduler
from detectron2.solver import build_lr_scheduler as build_detectron2_lr_scheduler
from detectron2.solver.build import get_default_optimizer_params
from detectron2.solver.build import maybe_add_gradient_clipping as detectron2_clipping
from fvcore.common.param_scheduler import (
    CompositeParamScheduler,
    ConstantParamScheduler,
    CosineParamScheduler,
)
from omegaconf import DictConfig
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from ..key_effects import say_at_lazy_optimizer

OPTIMIZERS = ("SGD", "Adam", "AdamW")
COSINE = "WarmupCosineLR"
FLAT_COSINE = "WarmupFlatCosineLR"  # the same with a FLAT_SHARE of 0.5 unless one is given
SCHEDULES = ("WarmupMultiStepLR", COSINE, "WarmupStepWithFixedGammaLR", FLAT_COSINE)
FIRST_NUMBER = r"(?:[^.]+\.)*?\d+(?=\.)"


def build_optimizer(cfg: CfgNode, model: nn.Module) -> Optimizer:
    """The optimiser that SOLVER.OPTIMIZER names.

    Clipping of all gradients together ("full_model") happens in `DivergenceGuard`; detectron2's
    per-parameter types are added here.

    Raises:
        ValueError: unknown optimiser, or a layer decay that is not in (0, 1].
    """
    solver = cfg.SOLVER
    if solver.OPTIMIZER not in OPTIMIZERS:
        raise ValueError(f"SOLVER.OPTIMIZER must be one of {OPTIMIZERS}, got {solver.OPTIMIZER!r}")
    params = parameter_groups(
        model,
        base_lr=solver.BASE_LR,
        layer_decay=solver.LAYER_DECAY,
        backbone_lr_factor=solver.BACKBONE_LR_FACTOR,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
    )
    common = {"lr": solver.BASE_LR, "weight_decay": solver.WEIGHT_DECAY}
    if solver.OPTIMIZER == "SGD":
        options = {"momentum": solver.MOMENTUM, "nesterov": solver.NESTEROV}
        optimizer: Optimizer = SGD(params, **common, **options)
    else:
        # One pass over the weights instead of a dozen: a third of the time on a CPU.
        kind = Adam if solver.OPTIMIZER == "Adam" else AdamW
        optimizer = kind(params, **common, fused=True)
    if solver.CLIP_GRADIENTS.CLIP_TYPE == "full_model":
        return optimizer
    return detectron2_clipping(cfg, optimizer)


def parameter_groups(
    model: nn.Module,
    base_lr: float,
    layer_decay: float = 1.0,
    backbone_lr_factor: float = 1.0,
    weight_decay_norm: float | None = None,
    bias_lr_factor: float = 1.0,
    weight_decay_bias: float | None = None,
    train: DictConfig | None = None,
) -> list[dict]:
    """detectron2's parameter groups; the body may learn the more slowly the deeper a layer lies.

    Args:
        model: a detector.
        base_lr: learning rate of neck and head.
        layer_decay: the last layer of the body learns at `base_lr` times this, each one before it
            at that times this again, ...; in (0, 1].
        backbone_lr_factor: the learning rates of the whole body are multiplied by this, > 0; frozen
            stages (FREEZE_AT) do not learn at all.
        weight_decay_norm, bias_lr_factor, weight_decay_bias: as in detectron2.
        train: of a LazyConfig that detectron2's own loop trains, which obeys only some of it; what
            it does not is said. Our loop takes it out.

    Raises:
        ValueError: `layer_decay` outside (0, 1], `backbone_lr_factor` not above 0, or one of them
            not 1 for a model without a body.

    Source: layer-wise decay as in arXiv 2106.08254, appendix A; a layer is a residual block.
    """
    if not 0 < layer_decay <= 1:
        raise ValueError(f"`layer_decay` must be in (0, 1], got {layer_decay}")
    if not 0 < backbone_lr_factor < math.inf:
        raise ValueError(
            f"`backbone_lr_factor` must be above 0, got {backbone_lr_factor}; FREEZE_AT freezes"
        )
    if train is not None:
        say_at_lazy_optimizer(train)
    factors = {}
    if layer_decay != 1 or backbone_lr_factor != 1:
        of_layers = layer_lr_factors(model, layer_decay)
        factors = {name: factor * backbone_lr_factor for name, factor in of_layers.items()}
    return get_default_optimizer_params(
        model,
        base_lr=base_lr,
        weight_decay_norm=weight_decay_norm,
        bias_lr_factor=bias_lr_factor,
        weight_decay_bias=weight_decay_bias,
        lr_factor_func=lambda name: factors.get(name, 1.0),
    )


def layer_lr_factors(model: nn.Module, decay: float) -> dict[str, float]:
    """What the learning rate of each parameter of the body is multiplied by.

    A layer is what the body's `parameter_layers` counts (timm's bodies), or its `layer_pattern`
    finds in the parameters' names; by default what their first number counts, such as "res2.0". All
    that comes before the first one is one layer, the stem; later names without one belong to the
    layer before.
    """
    bodies = [(name, x) for name, x in model.named_modules() if name.endswith("bottom_up")]
    if not bodies:
        raise ValueError(
            "a layer decay, or a learning rate of the body's own, needs a backbone with a body "
            "(backbone.bottom_up)"
        )
    name, body = bodies[0]
    layers = body.parameter_layers() if hasattr(body, "parameter_layers") else {}
    layers = layers or _layers_by_name(body, getattr(body, "layer_pattern", FIRST_NUMBER))
    depth = 1 + max(layers.values(), default=0)
    return {f"{name}.{key}": decay ** (depth - index) for key, index in layers.items()}


def _layers_by_name(body: nn.Module, pattern: str) -> dict[str, int]:
    """The layer of each parameter, counted from the first."""
    layers: list[str] = []
    layer_of = {}
    for name, _ in body.named_parameters():
        match = re.match(pattern, name)
        layer = match[0] if match else (layers[-1] if layers else "stem")
        if layer not in layers:
            layers.append(layer)
        layer_of[name] = layers.index(layer)
    return layer_of


def build_lr_scheduler(cfg: CfgNode, optimizer: Optimizer) -> LRMultiplier:
    """The schedule that SOLVER.LR_SCHEDULER_NAME names: detectron2's, or flat before the cosine.

    Raises:
        ValueError: a schedule that there is not, or SOLVER.FLAT_SHARE with another than the cosine.
    """
    solver = cfg.SOLVER
    name, share = solver.LR_SCHEDULER_NAME, solver.FLAT_SHARE
    if name not in SCHEDULES:
        raise ValueError(f"SOLVER.LR_SCHEDULER_NAME must be one of {SCHEDULES}, got {name!r}")
    if share and name not in (COSINE, FLAT_COSINE):
        raise ValueError(f"SOLVER.FLAT_SHARE {share} needs LR_SCHEDULER_NAME {COSINE}, got {name}")
    if not share and name != FLAT_COSINE:
        return build_detectron2_lr_scheduler(cfg, optimizer)
    schedule = WarmupParamScheduler(
        flat_cosine(share or 0.5, solver.BASE_LR_END / solver.BASE_LR),
        solver.WARMUP_FACTOR,
        min(solver.WARMUP_ITERS / solver.MAX_ITER, 1.0),
        solver.WARMUP_METHOD,
        solver.RESCALE_INTERVAL,
    )
    return LRMultiplier(optimizer, multiplier=schedule, max_iter=solver.MAX_ITER)


def flat_cosine(flat_share: float = 0.5, end_value: float = 0.0) -> CompositeParamScheduler:
    """1 for a share of the run, then half a cosine down to `end_value`.

    Raises:
        ValueError: a share outside (0, 1).

    Source: the schedule of RTMDet, arXiv 2212.07784, appendix.
    """
    if not 0 < flat_share < 1:
        raise ValueError(f"`flat_share` must be in (0, 1), got {flat_share}")
    return CompositeParamScheduler(
        [ConstantParamScheduler(1.0), CosineParamScheduler(1.0, end_value)],
        lengths=[flat_share, 1 - flat_share],
        interval_scaling=["rescaled", "rescaled"],
    )


def clip_each_parameter(optimizer: Optimizer, clip_kind: str, value: float) -> Optimizer:
    """detectron2's clipping of each gradient by itself, for python configs.

    Args:
        optimizer: changed in place.
        clip_kind: "value" or "norm" (L2); "" for none.
        value: largest absolute value of an entry, or largest norm of a parameter's gradient.

    Raises:
        ValueError: another kind.
    """
    if not clip_kind:
        return optimizer
    if clip_kind not in ("value", "norm"):
        raise ValueError(f'`clip_kind` must be "value", "norm" or "", got {clip_kind!r}')
    clip = {"ENABLED": True, "CLIP_TYPE": clip_kind, "CLIP_VALUE": value, "NORM_TYPE": 2.0}
    return detectron2_clipping(CfgNode({"SOLVER": {"CLIP_GRADIENTS": clip}}), optimizer)


def full_model_clip_value(cfg: CfgNode) -> float:
    """The norm that the gradients of the whole model are clipped to; inf for none."""
    clip = cfg.SOLVER.CLIP_GRADIENTS
    on = clip.ENABLED and clip.CLIP_TYPE == "full_model"
    return clip.CLIP_VALUE if on else float("inf")
