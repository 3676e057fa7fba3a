"""What became of an input: an answer, one clear line, or a fault."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 5.0
ORDERLY = (ValueError, OSError)  # what every door turns into one line


class _Hang(BaseException):
    """Not an Exception, so that nothing in between takes it for its own."""


def fault_of(call: Callable[[], object]) -> str | None:
    """None where `call` answered, or refused in one line, in time; else what it did."""
    start = time.monotonic()
    try:
        with _alarm():
            call()
    except _Hang:
        return f"hangs for more than {SECONDS} s"
    except ORDERLY as error:
        text = str(error)
        if "\n" in text.strip() or not text:
            return f"{type(error).__name__} of no or several lines: {text!r}"
        if any(ord(letter) < 32 for letter in text):
            return f"terminal codes in {text!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    if time.monotonic() - start > SECONDS:
        return f"took {time.monotonic() - start:.1f} s"
    return None


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise _Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def nothing_outside(folder: Path) -> Iterator[None]:
    """Asserts that what happens inside makes no canary, and writes below `folder` only.

    The working folder is a sibling of `folder`, and all around it is watched.
    """
    around = folder.parent
    home = around / "home"
    home.mkdir(exist_ok=True)
    before, cwd = _files(around, folder), os.getcwd()
    os.chdir(home)
    try:
        yield
    finally:
        os.chdir(cwd)
    assert _files(around, folder) == before
    assert not [*around.rglob("canary")] and not Path("/tmp/outside").exists()


def _files(around: Path, without: Path) -> set[Path]:
    return {path for path in around.rglob("*") if without not in (path, *path.parents)}
