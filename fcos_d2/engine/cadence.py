"""When a run is evaluated, before its end."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from detectron2.engine.hooks import EvalHook, PreciseBN
from torch import nn


class Cadence(Protocol):
    """False where there is no evaluation before the end."""

    def __bool__(self) -> bool: ...

    def due(self, done: int) -> bool:
        """Whether one follows the iteration that makes the count `done`."""


@dataclass(frozen=True)
class Every:
    """One after each `period` iterations; 0: none."""

    period: int

    def __bool__(self) -> bool:
        return self.period > 0

    def due(self, done: int) -> bool:
        return self.period > 0 and done % self.period == 0


class Evaluation(EvalHook):
    """detectron2's hook at another cadence; after the last iteration it evaluates in any case."""

    def __init__(self, cadence: Cadence, evaluate: Callable[[], dict]) -> None:
        super().__init__(0, evaluate)
        self.cadence = cadence

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if done != self.trainer.max_iter and self.cadence.due(done):
            self._do_eval()


class PreciseNorms(PreciseBN):
    """detectron2's hook at another cadence, and after the last iteration."""

    def __init__(
        self, cadence: Cadence, model: nn.Module, data_loader: Iterable, num_iter: int
    ) -> None:
        super().__init__(0, model, data_loader, num_iter)
        self.cadence = cadence

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if done == self.trainer.max_iter or self.cadence.due(done):
            self.update_stats()
