"""The metric of a run over its iterations, and what twice as many would likely bring."""

from detectron2.engine import HookBase, TrainerBase
from torch.optim import Optimizer

from .best import value_of
from .cadence import Cadence
from .forecast import LEAST_POINTS, gain_of_doubling, started


def curve_of(trainer: TrainerBase) -> "LearningCurve | None":
    """That of a training; None where it keeps none."""
    return next((hook for hook in trainer._hooks if isinstance(hook, LearningCurve)), None)


class LearningCurve(HookBase):
    """Keeps the results of all evaluations, also those before a kill; it runs after `EvalHook`."""

    def __init__(self, optimizer: Optimizer, cadence: Cadence, metric: str) -> None:
        """
        Args:
            optimizer: with the learning rate.
            cadence: of the evaluations before the last one.
            metric: as in `KeepBest`.
        """
        self.optimizer = optimizer
        self.cadence = cadence
        self.metric = metric
        # Iterations, share of the full learning rate, and the metric in percent.
        self.points: list[tuple[int, float, float]] = []

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if done != self.trainer.max_iter and self.cadence.due(done):
            self._add(done)

    def after_train(self) -> None:
        if self.trainer.iter >= self.trainer.max_iter:  # else the run broke off
            self._add(self.trainer.max_iter)

    def _add(self, done: int) -> None:
        value = value_of(self.metric, self.trainer.storage.latest())
        if value is not None:
            group = self.optimizer.param_groups[0]
            # A run that is resumed when it is finished is evaluated once more.
            self.points = [point for point in self.points if point[0] != done]
            self.points.append((done, group["lr"] / group["initial_lr"], value))

    def in_words(self) -> str:
        """What twice the time would bring, or why that cannot be told."""
        iterations, rates, values = ([*x] for x in zip(*self.points, strict=True))
        first = started(values)
        if len(values) - first < LEAST_POINTS:
            return f"cannot be told from fewer than {LEAST_POINTS} evaluations on the way up"
        gain = gain_of_doubling(iterations[first:], values[first:], rates[first:])
        if not gain.is_told:
            return f"cannot be told: {gain.doubt()}"
        return f"{self.metric} {gain.in_words()}, if the curve goes on as it did"

    def state_dict(self) -> dict:
        return {"points": self.points}

    def load_state_dict(self, state_dict: dict) -> None:
        self.points = [(done, rate, value) for done, rate, value in state_dict["points"]]
