"""Signals end a training after its step, with a checkpoint to go on from."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from detectron2.engine import HookBase
from detectron2.utils import comm

from ..checkpoint import FCOSCheckpointer
from .step import StepTrainer

logger = logging.getLogger(__name__)

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)
# A launcher hands on the Ctrl-C that the terminal sends to all; s.
SAME_PRESS = 0.5


class StoppedBySignal(SystemExit):
    """Ends the program with 128 + the number of the signal: 130, 143, 138 (SIGUSR1)."""


class _Now(BaseException):
    """Leaves an evaluation at once."""


class StopOnSignal(HookBase):
    """Ctrl-C, SIGTERM or SIGUSR1 on any rank ends all of them together after the step.

    A second Ctrl-C ends the process at once. It runs after `PeriodicCheckpointer` and all hooks
    that change the state.
    """

    def __init__(self, step: StepTrainer, checkpointer: FCOSCheckpointer) -> None:
        """
        Args:
            step: which tells the ranks of each other's signals.
            checkpointer: writes the checkpoint.
        """
        self.step = step
        self.checkpointer = checkpointer
        self._before: dict[int, Any] = {}  # handlers
        self._first_press: float | None = None
        self._can_leave = False  # in something that may be left at any moment

    def before_train(self) -> None:
        if threading.current_thread() is threading.main_thread():  # Python knows no other place
            self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def after_train(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        # Its workers end here, not when the interpreter does and waits for them.
        self.step._data_loader_iter_obj = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == signal.SIGINT:
            if self._first_press is not None and now - self._first_press > SAME_PRESS:
                os._exit(128 + number)
            self._first_press = self._first_press or now
        self.step.signal = self.step.signal or number
        if self._can_leave:
            raise _Now

    def after_step(self) -> None:
        """Raises StoppedBySignal, in all processes."""
        if self.step.agreed_signal:
            self._stop(self.step.agreed_signal)

    def interrupting(self, evaluate: Callable[[], dict]) -> Callable[[], dict]:
        """`evaluate`, which a signal ends at once; of several processes all finish it."""

        def run() -> dict:
            if self.step.agreed_signal:  # the run stops in its last iteration
                return {}
            if comm.get_world_size() > 1:
                return evaluate()
            with suppress(_Now):
                try:
                    self._can_leave = True
                    if not self.step.signal:
                        return evaluate()
                finally:
                    self._can_leave = False
            self._stop(self.step.signal)

        return run

    def _stop(self, number: int) -> NoReturn:
        # After the loop, the iteration of a trainer is one that never ran.
        iteration = min(self.trainer.iter, self.trainer.max_iter - 1)
        name = f"model_{iteration:07d}"
        self.checkpointer.save(name, iteration=iteration)
        logger.info(
            "stopped by %s after iteration %d; the same command with --resume goes on from %s.pth",
            *(signal.Signals(number).name, iteration, name),
        )
        # The first rank that ends takes the others with it: none may before all is saved.
        comm.synchronize()
        self.step.agreed_signal = number
        raise StoppedBySignal(128 + number)


@contextmanager
def handing_on_signals() -> Iterator[None]:
    """The processes that this one starts get its signals; a second Ctrl-C ends them at once."""
    first_press: list[float] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        at_once = number == signal.SIGINT and first_press and now - first_press[0] > SAME_PRESS
        for child in multiprocessing.active_children():
            if child.pid is not None:
                os.kill(child.pid, signal.SIGKILL if at_once else number)
        if at_once:
            os._exit(128 + number)
        if number == signal.SIGINT and not first_press:
            first_press.append(now)

    before = {number: signal.signal(number, hand_on) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
