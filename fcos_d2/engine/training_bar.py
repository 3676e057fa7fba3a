"""The bar of progress of a training."""

import time
from datetime import timedelta
from typing import TextIO

from detectron2.engine import HookBase

from .bars import Bar
from .clock import Clock

PERIOD = 0.1  # s, between two pictures of the bar
WINDOW = 20  # iterations, whose median the loss is, as in the log


class TrainingBar(HookBase):
    """Shows how far a training is, and what time is left: of its budget, if it has one."""

    def __init__(self, stream: TextIO, metric: str, clock: Clock | None = None) -> None:
        """
        Args:
            stream: a terminal.
            metric: that is shown once there is one, such as "bbox/AP".
            clock: of a run with a budget.
        """
        self.stream = stream
        self.metric = metric
        self.clock = clock
        self._bar: Bar | None = None
        self._first: float | None = None  # the time after the first iteration, which is a slow one
        self._last = 0.0  # the time of the last picture

    def before_train(self) -> None:
        self._bar = Bar(
            total=1.0,
            desc="training",
            file=self.stream,
            dynamic_ncols=True,
            leave=False,
            miniters=0,
            mininterval=0,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {text}",
        )

    def after_step(self) -> None:
        now = time.monotonic()
        self._first = self._first or now
        if self._bar is not None and now - self._last >= PERIOD:
            self._last = now
            self._bar.text = self._words(now)
            self._bar.n = self._share()
            self._bar.update(0)

    def after_train(self) -> None:
        """Also after an error: what follows stands on a line of its own."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _share(self) -> float:
        if self.clock is not None:
            return min(self.clock.used / self.clock.budget.seconds, 1.0)
        return (self.trainer.iter + 1) / max(self.trainer.max_iter, 1)

    def _words(self, now: float) -> str:
        done = self.trainer.iter + 1
        words = [f"iteration {done}" + ("" if self.clock else f" of {self.trainer.max_iter}")]
        left = self._seconds_left(now)
        if left is not None:
            words.append(f"{timedelta(seconds=round(left))} left")
        histories = self.trainer.storage.histories()
        if "total_loss" in histories:
            words.append(f"loss {histories['total_loss'].median(WINDOW):.3g}")
        if self.metric in histories:
            words.append(f"{self.metric} {histories[self.metric].latest():.1f}")
        return ", ".join(words)

    def _seconds_left(self, now: float) -> float | None:
        """At the pace so far, with all that came between the iterations; None: not known yet."""
        if self.clock is not None:
            return self.clock.left
        done_since_first = self.trainer.iter - self.trainer.start_iter
        if done_since_first < 1 or self._first is None:
            return None
        pace = (now - self._first) / done_since_first
        return pace * (self.trainer.max_iter - self.trainer.iter - 1)
