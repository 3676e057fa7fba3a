"""What each rank is at: a small file for each, which the others and the launcher can read."""

import os
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fcos_deploy.writing import process_state

# The launcher's folder for the notes of the ranks that it starts; others keep them in OUTPUT_DIR.
FOLDER = "FCOS_D2_RANKS"

GO_ON = "the same command with --resume goes on from the last checkpoint"

_ITERATION = struct.Struct("<q")
_REST = struct.Struct("<qq?64s64s")

COMPUTES = "computing, or waiting for another rank"
# The first of these that is in its stack is what a rank is doing: part of the file's path,
# function, in words, and whether other ranks wait for it as long as it may take.
_PHASES = (
    ("fcos_d2/checkpoint/", "save", "writing a checkpoint", True),
    ("detectron2/engine/hooks.py", "_do_eval", "evaluating", True),
    ("fvcore/nn/precise_bn.py", "update_bn_stats", "computing statistics of norms", True),
    ("torch/utils/data/dataloader.py", "__next__", "reading images", False),
    ("fcos_d2/engine/step.py", "run_step", COMPUTES, False),
)


@dataclass(frozen=True)
class Note:
    """What a rank says of itself."""

    iteration: int  # the last one that it finished; -1: none
    ticks: int  # counts on as long as the process runs at all
    pid: int
    takes_its_time: bool
    host: str
    doing: str

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()


class OwnNote:
    """The note of this rank. A kill leaves it as it was written last."""

    folder = ""  # of the notes of this process's run

    def __init__(self, folder: str, rank: int, iteration: int) -> None:
        """
        Args:
            folder: of the notes of all ranks; is made.
            rank: of this process.
            iteration: the last one that is finished.
        """
        os.makedirs(folder, exist_ok=True)
        OwnNote.folder = folder
        self._path = os.path.join(folder, f"rank_{rank}")
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        self._ticks = 0
        self.finish(iteration)
        self.tick()

    def finish(self, iteration: int) -> None:
        """One write of 8 bytes into the cache of the system, a few microseconds."""
        self.iteration = iteration
        with suppress(OSError):  # a training is worth more than its note
            os.pwrite(self._file, _ITERATION.pack(iteration), 0)

    def tick(self) -> None:
        self._ticks += 1
        doing, takes_its_time = _main_thread_is_doing()
        words = (socket.gethostname().encode()[:64], doing.encode())
        with suppress(OSError):
            rest = _REST.pack(self._ticks, os.getpid(), takes_its_time, *words)
            os.pwrite(self._file, rest, _ITERATION.size)

    def read(self) -> Note:
        """Also where somebody has deleted the file."""
        return _unpacked(os.pread(self._file, _ITERATION.size + _REST.size, 0))

    def remove(self) -> None:
        """After a run that ended well, nobody asks for it."""
        with suppress(OSError):
            os.remove(self._path)
            os.rmdir(os.path.dirname(self._path))


def read_notes(folder: str) -> dict[int, Note]:
    """The notes of all ranks that can be seen from here, by rank."""
    notes = {}
    for path in Path(folder).glob("rank_*"):
        with suppress(OSError, struct.error, ValueError):
            notes[int(path.name.removeprefix("rank_"))] = _unpacked(path.read_bytes())
    return dict(sorted(notes.items()))


def _unpacked(data: bytes) -> Note:
    (iteration,) = _ITERATION.unpack(data[: _ITERATION.size])
    ticks, pid, takes_its_time, *words = _REST.unpack(data[_ITERATION.size :])
    host, doing = (word.rstrip(b"\0").decode() for word in words)
    return Note(iteration, ticks, pid, takes_its_time, host, doing)


def after(note: Note | None) -> str:
    """E.g. " after iteration 37"."""
    if note is None:
        return ""
    return (
        f" after iteration {note.iteration}" if note.iteration >= 0 else " in its first iteration"
    )


def is_stopped(note: Note) -> bool:
    """Whether a signal (SIGSTOP, Ctrl-Z) holds the process of a rank on this machine."""
    return note.is_here and process_state(note.pid) == "T"


def end(note: Note) -> None:
    """Ends a rank on this machine that no longer reacts."""
    with suppress(ProcessLookupError):
        os.kill(note.pid, signal.SIGKILL)


def _main_thread_is_doing() -> tuple[str, bool]:
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    stack = set()
    while frame is not None:
        stack.add((frame.f_code.co_filename.replace(os.sep, "/"), frame.f_code.co_name))
        frame = frame.f_back
    for part, function, words, takes_its_time in _PHASES:
        if any(part in path and function == name for path, name in stack):
            return words, takes_its_time
    return "between two iterations", False
