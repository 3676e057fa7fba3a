"""Stages that overlap in threads, and how long each takes."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

_END: Any = object()
WAIT = 0.1  # s between checks whether a stage is still needed


def buffered(items: Iterable[T], size: int) -> Generator[T, None, None]:
    """The items in order, made in a separate thread that is at most `size` ahead.

    An error in that thread is raised here, after the items before it. If the caller stops early,
    so does the thread.
    """
    ready: queue.Queue = queue.Queue(size)
    stopped = threading.Event()

    def put(item: object, error: BaseException | None = None) -> bool:
        while not stopped.is_set():
            try:
                ready.put((item, error), timeout=WAIT)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        try:
            for item in items:
                if not put(item):
                    # Closes the source in the thread that ran it.
                    getattr(items, "close", lambda: None)()
                    return
            put(_END)
        except BaseException as error:  # to be raised in the thread of the caller
            put(_END, error)

    thread = threading.Thread(target=make, name="buffered", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        thread.join()


def batches(items: Iterable, size: int) -> Iterator[list]:
    """Lists of `size` items; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


class Clock:
    """Mean time of each part, after a warm-up."""

    def __init__(self, warm_up: int = 3) -> None:
        """`warm_up` is how many first runs of a part are not counted."""
        self.warm_up = warm_up
        self._seconds: dict[str, float] = {}
        self._items: dict[str, int] = {}
        self._calls: dict[str, int] = {}

    @contextmanager
    def __call__(self, part: str, items: int = 1) -> Iterator[None]:
        """Times the `with` block, which handles `items` items."""
        start = time.perf_counter()
        yield
        calls = self._calls[part] = self._calls.get(part, 0) + 1
        if calls > self.warm_up:
            self._seconds[part] = self._seconds.get(part, 0.0) + time.perf_counter() - start
            self._items[part] = self._items.get(part, 0) + items

    def each(self, part: str, items: Iterable) -> Iterator:
        """The items; the time to get each is counted."""
        iterator = iter(items)
        while True:
            with self(part):
                item = next(iterator, _END)
            if item is _END:
                return
            yield item

    def stage(self, part: str, work: Callable, groups: Iterable[Sized]) -> Iterator:
        """The results of `work` for each group of items; its time is counted."""
        for group in groups:
            with self(part, len(group)):
                done = work(group)
            yield done

    def milliseconds(self) -> dict[str, float]:
        """Mean of each part per item, without the parts that were never counted."""
        return {part: 1000 * s / self._items[part] for part, s in self._seconds.items()}
