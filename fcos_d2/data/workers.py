"""How the processes that load images take signals, and end."""

import ctypes
import multiprocessing
import os
import signal
import sys
from types import FrameType

PR_SET_PDEATHSIG = 1  # of linux/prctl.h
GRACE = 10  # s


def follow_parent(worker: int = 0) -> None:
    """The process leaves signals to the one that started it, and ends with it.

    A signal to the whole group, as Ctrl-C is, would take the images from a training that wants to
    finish its step. To be called in the process; it is a `worker_init_fn` of torch's loaders.

    Args:
        worker: number of the worker; without effect.
    """
    for name in ("SIGINT", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGTERM, _end_later)
    if sys.platform != "linux":
        return  # torch's workers look for their parent every 5 s
    # Also where the parent is killed, and cannot tell.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:  # it was gone before
        os._exit(1)


def _end_later(number: int, frame: FrameType | None) -> None:
    signal.alarm(GRACE)  # whose default is the end of the process
