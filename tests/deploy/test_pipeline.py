import threading
import time
from collections.abc import Iterator

import pytest

from fcos_deploy.pipeline import Clock, batches, buffered

LONG = 20  # s, for what happens at once


def makers() -> int:
    """Threads that `buffered` has left running."""
    return sum(thread.name == "buffered" for thread in threading.enumerate())


@pytest.mark.parametrize("size", [1, 3, 100])
def test_items_keep_their_order(size: int) -> None:
    stages = buffered((2 * i for i in buffered(range(50), size)), size)

    assert list(stages) == list(range(0, 100, 2))
    assert list(buffered([], size)) == []
    assert makers() == 0


def test_the_maker_works_while_the_taker_does() -> None:
    """The taker of item 0 waits for the maker to have made the next two."""
    made = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for i in range(3):
            yield i
            made.release()

    stage = buffered(items(), 2)
    assert next(stage) == 0
    assert all(made.acquire(timeout=LONG) for _ in range(2))
    assert list(stage) == [1, 2]


def test_it_runs_only_so_far_ahead() -> None:
    made = []

    def items() -> Iterator[int]:
        for i in range(20):
            made.append(i)
            yield i

    stage = buffered(items(), 3)
    for taken in range(1, 5):
        next(stage)
        # Three wait, and the maker holds one for which there is no room.
        deadline = time.monotonic() + LONG
        while len(made) < taken + 4 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(made) == taken + 4
    stage.close()
    assert len(made) <= 9 and makers() == 0


def test_an_error_comes_out_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the disk is gone")

    taken = []
    with pytest.raises(OSError, match="the disk is gone"):
        taken.extend(buffered((i for i in buffered(items(), 2)), 2))
    assert taken == [1, 2] and makers() == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_taker_that_stops_ends_all_stages(error: type[BaseException]) -> None:
    closed = []

    def items() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(threading.current_thread())

    stage = buffered((i + 1 for i in buffered(items(), 2)), 2)
    with pytest.raises(error):
        for _ in stage:
            raise error
    stage.close()
    assert len(closed) == 1 and closed[0] is not threading.current_thread()
    assert makers() == 0


def test_batches() -> None:
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches([], 2)) == []


def test_clock_on_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four calls of 1, 2, 3 and 4 s for 1, 1, 2 and 2 items; the first is the warm-up."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = Clock(warm_up=1)
    for seconds, items in [(1, 1), (2, 1), (3, 2), (4, 2)]:
        with clock("engine", items):
            now[0] += seconds
    assert clock.milliseconds() == {"engine": 1000 * (2 + 3 + 4) / 5}
