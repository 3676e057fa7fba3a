"""What happens around the steps of a run, the same from both kinds of config."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from detectron2.engine import HookBase
from detectron2.engine.hooks import IterationTimer, PeriodicCheckpointer, PeriodicWriter
from detectron2.utils import comm
from detectron2.utils.events import EventWriter

from ..checkpoint import FCOSCheckpointer
from .best import KeepBest
from .cadence import Cadence, Evaluation
from .clock import Clock, ClockCheckpointer, ClockWriter
from .console import stream_for_bars
from .divergence import DivergenceGuard
from .ema import WeightAverage
from .fixed_statistics import FixedStatistics
from .learning_curve import LearningCurve
from .run_parts import Training
from .schedule import LRScheduler
from .step import StepTrainer
from .stopping import StopOnSignal
from .training_bar import TrainingBar
from .watchdog import Watchdog
from .wrapping import unwrapped


@dataclass(kw_only=True)
class RunHooks:
    """The parts of a training that its hooks need; `build` puts them in their order."""

    step: StepTrainer
    scheduler: Any  # a learning-rate scheduler, or fvcore's multiplier
    checkpointer: FCOSCheckpointer
    average: WeightAverage | None
    evaluate: Callable[[], dict]  # results by task and metric
    build_writers: Callable[[], list[EventWriter]]  # called in the main process only
    settings: Training  # its periods and limits
    cadence: Cadence  # of the evaluations
    clock: Clock | None = None  # of a run with a budget
    before_evaluation: list[HookBase] = field(default_factory=list)
    after_evaluation: list[HookBase] = field(default_factory=list)

    def build(self) -> list[HookBase]:
        """The hooks, in the order in which they run."""
        main, settings = comm.is_main_process(), self.settings
        optimizer = self.step.optimizer
        self.step.guard = DivergenceGuard(self.step.model, optimizer, self.checkpointer)
        hooks: list[HookBase] = [] if self.clock is None else [self.clock]
        budget = None if self.clock is None else self.clock.budget
        hooks += [IterationTimer(), LRScheduler(optimizer, self.scheduler, budget)]
        stream = stream_for_bars()
        if stream is not None:
            hooks.append(TrainingBar(stream, settings.best_metric, self.clock))
        if share := settings.fixed_statistics_share:
            model = unwrapped(self.step.model)
            hooks.append(FixedStatistics(model, share, settings.max_iter, budget))
        if self.average is not None:
            hooks.append(self.average)
        hooks += self.before_evaluation
        if main:
            hooks.append(self._checkpoints())
        # After the checkpoint, which an evaluation that fails leaves behind.
        stop = StopOnSignal(self.step, self.checkpointer)
        hooks += [stop, Evaluation(self.cadence, stop.interrupting(self.evaluate))]
        if settings.best_metric:
            best = (settings.best_metric, settings.patience)
            hooks.append(KeepBest(self.checkpointer, self.cadence, *best))
        elif settings.patience:
            raise ValueError("`patience` needs a `best_metric`")
        if self.clock is not None and settings.best_metric:
            hooks.append(LearningCurve(optimizer, self.cadence, settings.best_metric))
        hooks += self.after_evaluation
        if main:  # last, so that the metrics of an evaluation are written
            hooks.append(self._writer())
        # An iteration is finished when all of these are.
        hooks.append(Watchdog(self.checkpointer.save_dir, settings.stall_minutes))
        return hooks

    def _writer(self) -> HookBase:
        writers, period = self.build_writers(), self.settings.log_period
        if self.clock is not None:
            return ClockWriter(writers, self.clock, period)
        return PeriodicWriter(writers, period)

    def _checkpoints(self) -> HookBase:
        settings = self.settings
        if self.clock is not None:
            return ClockCheckpointer(self.checkpointer, self.clock, settings.max_to_keep)
        return PeriodicCheckpointer(
            self.checkpointer, settings.checkpoint_period, None, settings.max_to_keep
        )
