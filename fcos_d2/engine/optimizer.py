"""Optimisers by config."""

import torch
from detectron2.config import CfgNode
from detectron2.solver.build import get_default_optimizer_params, maybe_add_gradient_clipping
from torch import nn

OPTIMIZERS = ("SGD", "AdamW")


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser that SOLVER.OPTIMIZER names, with detectron2's parameter groups.

    Clipping of all gradients together ("full_model") happens in `DivergenceGuard`; detectron2's
    per-parameter types are added here.

    Raises:
        ValueError: unknown optimiser.
    """
    solver = cfg.SOLVER
    if solver.OPTIMIZER not in OPTIMIZERS:
        raise ValueError(f"SOLVER.OPTIMIZER must be one of {OPTIMIZERS}, got {solver.OPTIMIZER!r}")
    params = get_default_optimizer_params(
        model,
        base_lr=solver.BASE_LR,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
    )
    common = {"lr": solver.BASE_LR, "weight_decay": solver.WEIGHT_DECAY}
    if solver.OPTIMIZER == "AdamW":
        optimizer = torch.optim.AdamW(params, **common)
    else:
        options = {"momentum": solver.MOMENTUM, "nesterov": solver.NESTEROV}
        optimizer = torch.optim.SGD(params, **common, **options)
    if solver.CLIP_GRADIENTS.CLIP_TYPE == "full_model":
        return optimizer
    return maybe_add_gradient_clipping(cfg, optimizer)


def full_model_clip_value(cfg: CfgNode) -> float:
    """The norm that the gradients of the whole model are clipped to; inf for none."""
    clip = cfg.SOLVER.CLIP_GRADIENTS
    on = clip.ENABLED and clip.CLIP_TYPE == "full_model"
    return clip.CLIP_VALUE if on else float("inf")
