"""Batch norms that keep their statistics in the last part of a run."""

import logging
from typing import Any

import torch.distributed as dist
from detectron2.engine import HookBase
from detectron2.utils import comm
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from .budget import Budget

logger = logging.getLogger(__name__)


class FixedStatistics(HookBase):
    """From a share of the run on, batch norms normalise in training as they do in evaluation.

    The statistics of a small batch differ from those of all images, which the detector is
    evaluated with; so its last steps learn with the latter. Scales and offsets go on learning.

    Source: FrozenBN in the last epochs, arXiv 2105.07576.
    """

    def __init__(
        self, model: nn.Module, share: float, length: int, budget: Budget | None = None
    ) -> None:
        """
        Args:
            model: in training.
            share: of the run, at its end, in [0, 1]; 0: never.
            length: of the run, or of the schedule that a budget stretches, in iterations.
            budget: of the run, if it has one.

        Raises:
            ValueError: another share.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"`fixed_statistics_share` must be in [0, 1], got {share}")
        norms = [x for x in model.modules() if isinstance(x, _BatchNorm)]
        self.norms: list[Any] = [x for x in norms if x.running_mean is not None]
        self.start = length * (1 - share)
        self.budget = budget

    def before_step(self) -> None:
        iteration = self.trainer.iter
        position = iteration if self.budget is None else self.budget.position()
        if position < self.start:
            return
        learning = [x for x in self.norms if x.training]  # all of them after an evaluation
        for norm in learning:
            if comm.get_world_size() > 1:  # each process has seen other images
                dist.broadcast(norm.running_mean, 0)
                dist.broadcast(norm.running_var, 0)
            norm.training = False  # not `eval()`, as a norm may have a dropout in it
        if learning:
            text = "iteration %d: %d batch norms keep their statistics from here on"
            logger.debug(text, iteration, len(learning))
