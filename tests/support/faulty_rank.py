"""train_net.py with a fault: the environment's FAULT is what, on which rank, in which iteration.

Faults: "kill", "segfault", "stop" (signals), "hang" (reading images), "raise" (a programming
error), "value" (a mistake of a user), "full" (no space for a checkpoint). Under torchrun it
happens in the first life only.
"""

import ctypes
import errno
import os
import signal
import sys
import time
from pathlib import Path

import torch
from detectron2.utils import comm

from fcos_d2.engine.step import StepTrainer

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.pth")


def happen(step, what):
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "segfault":
        ctypes.string_at(0)
    elif what == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif what == "hang":
        type(step._data_loader_iter)._next_data = lambda self: time.sleep(1000)
    elif what == "raise":
        raise RuntimeError("a bug")
    elif what == "value":
        raise ValueError("a mistake")
    elif what == "full":
        torch.save = full


run_step = StepTrainer.run_step


def run_faulty_step(self):
    what, rank, iteration = os.environ["FAULT"].split()
    first_life = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
    if first_life and (comm.get_rank(), self.iter) == (int(rank), int(iteration)):
        happen(self, what)
    run_step(self)


StepTrainer.run_step = run_faulty_step

from fcos_cli.train_net import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
