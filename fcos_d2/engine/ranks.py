"""Starts the ranks of a run on this machine, and says in one line which of them ended it."""

import logging
import multiprocessing.connection
import os
import pickle
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed as dist
from detectron2.utils import comm
from torch.multiprocessing import ProcessContext, start_processes

from fcos_deploy.writing import is_running

from .progress import FOLDER, GO_ON, Note, OwnNote, after, read_notes
from .request import Request
from .watchdog import STUCK

LOST = 75  # the exit code of a rank that another one left alone

_TIMEOUT = timedelta(minutes=30)  # of a collective operation, as detectron2's
_GRACE = 5.0  # s in which the other ranks may end by themselves


def start_ranks(main: Callable[[Request], object], request: Request, processes: int) -> None:
    """Runs `main(request)` in so many processes and waits for them.

    Args:
        main: a function that the started processes can import.
        request: its num_machines, machine_rank and dist_url count.
        processes: on this machine.

    Raises:
        ValueError: several machines, but no address to meet at.
        SystemExit: a process ended with an error; with its exit code, 128 + the number of a signal.
    """
    url = request.dist_url
    if url == "auto":
        if request.num_machines > 1:
            raise ValueError("several machines need the same --dist-url, such as tcp://HOST:29500")
        url = f"tcp://127.0.0.1:{_free_port()}"
    with tempfile.TemporaryDirectory(prefix="fcos_d2_ranks_") as folder:
        os.environ[FOLDER] = folder
        _silence_tracker()
        try:
            context = start_processes(_rank, (main, request, processes, url), processes, join=False)
            if failed := _first_failures(context):
                first_rank = request.machine_rank * processes
                raise SystemExit(_tell(context, failed, first_rank, read_notes(folder)))
        finally:
            del os.environ[FOLDER]


def _silence_tracker() -> None:
    """Python's tracker, which starts with the first rank, shall not list what a kill leaves."""
    given = os.environ.get("PYTHONWARNINGS")
    rules = [*([given] if given else []), "ignore:resource_tracker:UserWarning"]
    os.environ["PYTHONWARNINGS"] = ",".join(dict.fromkeys(rules))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _rank(local_rank: int, main: Callable, request: Request, processes: int, url: str) -> None:
    def join_and_run() -> None:
        has_gpu = torch.cuda.is_available()
        if has_gpu:
            torch.cuda.set_device(local_rank)
        dist.init_process_group(
            "nccl" if has_gpu else "gloo",
            init_method=url,
            world_size=processes * request.num_machines,
            rank=request.machine_rank * processes + local_rank,
            timeout=_TIMEOUT,
        )
        comm.create_local_process_group(processes)
        comm.synchronize()
        main(request)

    run_as_rank(join_and_run)


def _first_failures(context: ProcessContext) -> dict[int, int]:
    """Waits until all have ended well, or one has not: then the others are ended soon.

    Returns:
        The exit codes of those that failed by themselves, by process, the first one first.
    """
    left = dict(enumerate(context.processes))
    failed: dict[int, int] = {}
    deadline = None
    while left:
        wait = None if deadline is None else max(0, deadline - time.monotonic())
        ready = multiprocessing.connection.wait([x.sentinel for x in left.values()], wait)
        for i in [i for i, process in left.items() if process.sentinel in ready]:
            process = left.pop(i)
            process.join()
            if process.exitcode:
                failed[i] = process.exitcode
                deadline = deadline or time.monotonic() + _GRACE
        if not ready:
            break
    for process in left.values():
        process.kill()  # a process that is stopped, or waits in native code, hears nothing else
        process.join()
    return failed


def _tell(
    context: ProcessContext, failed: dict[int, int], first_rank: int, notes: dict[int, Note]
) -> int:
    """Says what the culprit has not said itself; the exit code of the run."""
    index = min(failed, key=lambda i: _weight(failed[i]))
    code, rank = failed[index], first_rank + index
    when = after(notes.get(rank))
    resume = f"; {GO_ON}" if when else ""
    if code < 0:
        _say(f"error: rank {rank} was killed by {_name(-code)}{when}{resume}")
        return 128 - code
    if code == LOST:
        _say(f"error: rank {rank} lost the connection to another rank{when}{resume}")
    elif os.path.isfile(context.error_files[index]):  # a programming error
        with open(context.error_files[index], "rb") as file:
            _say(pickle.load(file))
        os.remove(context.error_files[index])
        _say(f"error: rank {rank} failed{when} with the error above{resume}")
    return code


def _weight(code: int) -> int:
    """0 for a culprit; more for what follows from another rank's end."""
    if code == STUCK:  # it may have killed the rank that was stuck
        return 0
    return {LOST: 3, -signal.SIGABRT: 2}.get(code, 1)  # NCCL aborts


def _name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return name + " (as the system does where memory runs out)" * (name == "SIGKILL")


def run_as_rank(main: Callable[[], object]) -> object:
    """`main()`; where it fails because another rank is gone, one line instead of a stack trace.

    Raises:
        SystemExit: with LOST, where another rank is gone.
    """
    logging.getLogger("detectron2.engine.train_loop").addFilter(_is_of_this_rank)
    try:
        return main()
    except Exception as error:
        if not is_lost_rank(error):
            raise
        line = str(error).splitlines()[0]
    if FOLDER not in os.environ:  # otherwise the launcher knows more
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun is as fast, but this rank ends now
        _say_lost(line)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(LOST)  # what is left to do at an orderly end would wait for the rank that is gone


def is_lost_rank(error: BaseException | None) -> bool:
    """Whether a collective operation failed: the other side is gone, or did not come in time."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and "gloo" in str(error).lower()


def _is_of_this_rank(record: logging.LogRecord) -> bool:
    return not (record.exc_info and is_lost_rank(record.exc_info[1]))


def _say_lost(error: str) -> None:
    notes, rank = read_notes(OwnNote.folder) if OwnNote.folder else {}, comm.get_rank()
    gone = []
    for _ in range(10):  # it may take a moment to end
        gone = [i for i, x in notes.items() if i != rank and x.is_here and not is_running(x.pid)]
        if gone:
            break
        time.sleep(0.05)
    if rank != min((i for i in notes if i not in gone), default=rank):
        return
    if gone:
        who = f"rank {gone[0]} has ended{after(notes[gone[0]])}"
    else:
        who = f"rank {rank} lost the connection to another rank{after(notes.get(rank))} ({error})"
    _say(f"error: {who}; {GO_ON}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
