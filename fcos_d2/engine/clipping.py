"""Clipping the gradients of a whole model where detectron2's own optimiser trains it."""

import itertools
import math

from detectron2.config import CfgNode
from detectron2.solver import build as detectron2_solver
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from ..key_effects import say_at_optimizer
from .optimizer import detectron2_clipping, full_model_clip_value


def register_clipping() -> None:
    """Teaches detectron2's `build_optimizer` the clipping "full_model", which it does not know.

    Our `Trainer` never comes here, `DivergenceGuard` clips for it. So this is also the place to say
    what of a config is not obeyed without it.
    """
    detectron2_solver.maybe_add_gradient_clipping = add_clipping


def add_clipping(
    cfg: CfgNode, optimizer: Optimizer | type[Optimizer]
) -> Optimizer | type[Optimizer]:
    """detectron2's `maybe_add_gradient_clipping`, with "full_model" among the types.

    Args:
        cfg: the whole config.
        optimizer: an optimiser, which is changed, or a class.
    """
    if "FCOS" in cfg.get("MODEL", {}) and cfg.MODEL.PROPOSAL_GENERATOR.NAME == "FCOS":
        say_at_optimizer(cfg)
    max_norm = full_model_clip_value(cfg)
    if math.isinf(max_norm):
        return detectron2_clipping(cfg, optimizer)
    if isinstance(optimizer, Optimizer):
        return _clip_in_step(optimizer, max_norm)

    # The class is known only now.
    class ClippingOptimizer(optimizer):  # type: ignore[valid-type, misc]
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)
            _clip_in_step(self, max_norm)

    return ClippingOptimizer


def _clip_in_step(optimizer: Optimizer, max_norm: float) -> Optimizer:
    """Has every step scale the gradients of all parameters down to one L2 norm."""

    def clip(optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
        groups = (group["params"] for group in optimizer.param_groups)
        clip_grad_norm_(itertools.chain.from_iterable(groups), max_norm)

    optimizer.register_step_pre_hook(clip)
    return optimizer
