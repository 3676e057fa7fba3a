"""Bars of progress in a terminal. Elsewhere there are none, and log lines say how far a run is."""

import os
import threading
from collections.abc import Iterator
from typing import Any, TextIO

from tqdm import tqdm


class Bar(tqdm):
    """tqdm's, without its thread and its lock between processes, which workers would inherit."""

    monitor_interval = 0
    text = ""  # behind the bar

    @property
    def format_dict(self) -> dict[str, Any]:
        """What `bar_format` may name."""
        return {**super().format_dict, "text": self.text}


Bar.set_lock(threading.RLock())


def has_bars(stream: TextIO) -> bool:
    """Whether it is a terminal that can overwrite a line, with somebody in front of it."""
    return is_terminal(stream) and not any(map(_says_yes, ("CI", "TQDM_DISABLE")))


def is_terminal(stream: TextIO) -> bool:
    """Whether it is a terminal that knows more than plain lines."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _says_yes(variable: str) -> bool:
    return os.environ.get(variable, "").lower() not in ("", "0", "false", "no")


class WatchedBatches:
    """An iterable with a length that shows a bar while it is worked through."""

    def __init__(self, batches: Any, what: str, stream: TextIO) -> None:
        """
        Args:
            batches: such as a DataLoader.
            what: is done with them.
            stream: a terminal.
        """
        self.batches = batches
        self.what = what
        self.stream = stream

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        with Bar(
            self.batches,
            desc=self.what,
            file=self.stream,
            dynamic_ncols=True,  # a terminal may get another size
            leave=False,
            bar_format="{desc} {percentage:3.0f}%|{bar}| batch {n} of {total}, {remaining} left",
        ) as bar:
            yield from bar
