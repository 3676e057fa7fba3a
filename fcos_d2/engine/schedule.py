"""The learning rate of each iteration."""

from typing import Any

from detectron2.engine import hooks
from detectron2.solver import LRMultiplier
from fvcore.common.param_scheduler import ParamScheduler
from torch.optim import Optimizer

from .budget import Budget


class LRScheduler(hooks.LRScheduler):
    """detectron2's hook, for detectron2's schedules, whose values follow from the iteration alone.

    A resumed run goes on with the schedule of its config: what the checkpoint says of it does not
    count. The name is that under which checkpoints know the hook.

    In a run with a budget, they follow from its progress instead.
    """

    def __init__(self, optimizer: Optimizer, scheduler: Any, budget: Budget | None = None) -> None:
        """
        Args:
            optimizer: whose rates these are.
            scheduler: of learning rates, or fvcore's multiplier.
            budget: of the run, if it has one.
        """
        super().__init__(optimizer, scheduler)
        self.budget = budget

    def load_state_dict(self, state_dict: dict) -> None:
        """Nothing; `before_train` knows better."""

    def before_train(self) -> None:
        budget, start = self.budget, self.trainer.start_iter
        if budget is not None and isinstance(self.scheduler, ParamScheduler):
            self._scheduler = LRMultiplier(
                self._optimizer, self.scheduler, budget.schedule_length, last_iter=start - 1
            )
        super().before_train()
        self._go_to(start if budget is None else budget.position())

    def after_step(self) -> None:
        super().after_step()
        if self.budget is not None:
            self._go_to(self.budget.position())

    def _go_to(self, iteration: float) -> None:
        self.scheduler.last_epoch = iteration
        rates = self.scheduler.get_lr()
        for group, lr in zip(self._optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
