"""The time of a run that has a budget: measured by rank 0, obeyed by all ranks."""

import json
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from detectron2.engine import HookBase, TrainerBase
from detectron2.engine.hooks import PeriodicCheckpointer, PeriodicWriter
from detectron2.utils import comm
from detectron2.utils.events import EventStorage, EventWriter
from fvcore.common.checkpoint import Checkpointer

from fcos_deploy.writing import write_text

from .best import EarlyStop
from .budget import Budget, Decision
from .durations import in_words
from .printer import Printer
from .run_parts import Training
from .summary import say_iterations

logger = logging.getLogger(__name__)

FILE = "time_used.json"
FILE_SECONDS = 1.0  # between its updates
FORECAST_STEPS = 10  # after which it is said how many iterations fit
KEPT = 2  # checkpoints, where the config does not say how many


class BudgetTooShort(ValueError):
    """Not even one iteration and its evaluation fit."""


class Clock(HookBase):
    """Counts the time of a run and hands on what its budget decides.

    Time runs from the command, over all lives of the run, but not between them. What a killed life
    has used after its last checkpoint counts, too: it is in a file beside the checkpoints.
    """

    def __init__(self, budget: Budget, begun: float, output_dir: str) -> None:
        """
        Args:
            budget: of the run.
            begun: `time.monotonic()` when the command began.
            output_dir: of the run.
        """
        self.budget = budget
        self.begun = begun
        self.path = os.path.join(output_dir, FILE)
        self.before = 0.0  # s used by earlier lives
        self.decision = Decision(progress=0.0)  # after the last step
        self.last_iteration: int | None = None  # the count of iterations at the end
        self._written = 0.0  # s used, in the file
        self._steps = 0  # of this life
        self._noting: threading.Event | None = None  # set: no more
        self._lock = threading.Lock()  # of the file

    @property
    def used(self) -> float:
        """s of the budget, of this rank's clock."""
        return self.before + time.monotonic() - self.begun

    @property
    def left(self) -> float:
        """s of the budget."""
        return max(self.budget.seconds - self.used, 0.0)

    @property
    def finished(self) -> bool:
        """Whether no step follows."""
        return self.budget.progress >= 1

    def __bool__(self) -> bool:
        """A run with a budget may be evaluated before its end; see `cadence`."""
        return True

    def due(self, done: int) -> bool:
        """Whether an evaluation follows; see `cadence`."""
        return self.decision.evaluate

    def before_train(self) -> None:
        self.budget.begin(self.used)
        self._note()

    def numbers(self, done: int) -> dict[str, float]:
        """What rank 0 decides during a step, for the transfer that all ranks share.

        Args:
            done: iterations, with the one that is going on.
        """
        decision = Decision(progress=0.0)
        if comm.is_main_process():
            decision = self.budget.after_step(self.used, done)
        return {f"clock_{name}": float(value) for name, value in vars(decision).items()}

    def obey(self, numbers: dict[str, float]) -> None:
        """Takes what rank 0 has decided.

        Raises:
            BudgetTooShort: for one iteration and its evaluation.
        """
        self.decision = Decision(
            progress=numbers["clock_progress"],
            evaluate=bool(numbers["clock_evaluate"]),
            save=bool(numbers["clock_save"]),
            least=numbers["clock_least"],
        )
        if self.decision.least:
            raise BudgetTooShort(
                f"a `budget` of {in_words(self.budget.seconds)} is too short: start, one "
                f"iteration and the evaluation take about {in_words(self.decision.least)}"
            )
        self.budget.obey(self.decision)

    def after_step(self) -> None:
        self._steps += 1
        if self.finished:
            self.last_iteration = self.trainer.iter + 1
        if comm.is_main_process() and self._steps == FORECAST_STEPS and not self.finished:
            left = self.budget.iterations_left(self.used)
            say_iterations(self.trainer.iter + 1 + left, self.budget.seconds)

    def end_step(self, trainer: TrainerBase, hooks: Callable[[], None]) -> None:
        """Runs the hooks of a step, which end the run where no other follows.

        Args:
            trainer: whose loop has no end of its own.
            hooks: all that follows a step.

        Raises:
            EarlyStop: after the last step.
        """
        if self.finished:
            trainer.max_iter = trainer.iter + 1
        began = time.monotonic()
        hooks()
        self._measure(time.monotonic() - began)
        if self.finished:
            trainer.iter += 1  # as after a loop that has come to its end
            raise EarlyStop

    def _measure(self, seconds: float) -> None:
        """What the hooks of a step have taken, for the next time."""
        if self.decision.evaluate:
            self.budget.paused("evaluation", seconds)
        elif self.decision.save:
            self.budget.paused("save", seconds)
        if self.used - self._written >= FILE_SECONDS or self.decision.evaluate:
            self._note()

    def after_train(self) -> None:
        """No step follows that the time could be missing for."""
        if self._noting is not None:
            self._noting.set()
        self._note()

    def _note(self) -> None:
        with self._lock:
            self._written = self.used
            if comm.is_main_process():
                text = json.dumps({"seconds_used": round(self._written, 1)})
                write_text(self.path, text, durable=False)

    def keep_noting(self) -> None:
        """Notes the time also while nothing is measured, until the last step.

        So a kill in a long evaluation, in a long step or while the run starts loses no time.
        """
        if self._noting is None and comm.is_main_process():
            self._noting = threading.Event()
            arguments = weakref.ref(self), self._noting
            threading.Thread(target=_note_now_and_then, args=arguments, daemon=True).start()

    def state_dict(self) -> dict:
        return {"used": self.used, **self.budget.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """The run goes on with the time that is left."""
        self.budget.load_state_dict(state)
        self.before = max(self.before, state["used"])

    def take_up(self, resume: bool) -> None:
        """Counts the time from here on, should this life be killed.

        Args:
            resume: that of the lives before counts, too, whether or not one left a checkpoint.
        """
        if resume and self._noting is None:  # else the file tells of this life
            self._read()
        self.keep_noting()

    def _read(self) -> None:
        if not os.path.exists(self.path):
            return
        try:
            with open(self.path, encoding="utf-8") as file:
                self.before = max(self.before, float(json.load(file)["seconds_used"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s cannot be read (%s): some time does not count", self.path, error)


def _note_now_and_then(clock_ref: Callable[[], Clock | None], ended: threading.Event) -> None:
    """As long as there is the clock: a trainer may end before it has begun to train."""
    while not ended.wait(FILE_SECONDS):
        clock = clock_ref()
        if clock is None:
            return
        with suppress(OSError):  # which the run itself will meet, and say
            clock._note()
        del clock  # this thread must not keep it alive


def build_clock(
    settings: Training, output_dir: str, begun: float | None, resume: bool = False
) -> Clock | None:
    """The clock of a training; None: of one without budget.

    Args:
        settings: of the training.
        output_dir: of the run.
        begun: `time.monotonic()` when the command began; None: now.
        resume: the run will go on, so time counts at once, see `Clock.take_up`.

    Raises:
        ValueError: a budget that is no time.
    """
    if settings.budget == 0:
        return None
    budget = Budget(settings.budget, settings.max_iter, settings.eval_period)
    clock = Clock(budget, time.monotonic() if begun is None else begun, output_dir)
    if resume:
        clock.take_up(resume)
    return clock


class ClockCheckpointer(PeriodicCheckpointer):
    """detectron2's hook, when the clock says so."""

    def __init__(self, checkpointer: Checkpointer, clock: Clock, max_to_keep: int | None) -> None:
        super().__init__(checkpointer, 1, None, max_to_keep or KEPT)
        self.clock = clock

    def after_step(self) -> None:
        if self.clock.finished:
            self.checkpointer.save("model_final", iteration=self.trainer.iter)
        elif self.clock.decision.save:
            super().after_step()


class ClockWriter(PeriodicWriter):
    """detectron2's hook, which also writes after each evaluation.

    The storage keeps the last one only, and two may come within a period.
    """

    def __init__(self, writers: list[EventWriter], clock: Clock, period: int) -> None:
        super().__init__(writers, period)
        self.clock = clock

    def after_step(self) -> None:
        if self.clock.decision.evaluate:
            for writer in self._writers:
                writer.write()
        else:
            super().after_step()


class ClockPrinter(Printer):
    """The line of progress with the time that is left of the budget."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def write(self) -> None:
        self._max_iter = self.clock.last_iteration  # after which there is nothing to say
        super().write()

    def _get_eta(self, storage: EventStorage) -> str:
        left = self.clock.left
        storage.put_scalar("eta_seconds", left, smoothing_hint=False)
        return str(timedelta(seconds=round(left)))
