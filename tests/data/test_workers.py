"""Loader workers outlive signals, but not their parent."""

import os
import signal
import subprocess
import sys
import time

SCRIPT = """
import os, time
import torch
from torch.utils.data import DataLoader
from fcos_d2.data.workers import follow_parent

loader = DataLoader(range(10**6), num_workers=2, worker_init_fn=follow_parent)
batches = iter(loader)
next(batches), next(batches)  # one of each
print(*[worker.pid for worker in batches._workers], flush=True)
for _ in batches:
    time.sleep(0.01)
"""


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split()[2] != "Z"  # in a container nobody may collect the dead
    except FileNotFoundError:
        return False


def test_signals_and_the_end_of_the_parent():
    command = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        for pid in workers:
            for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM):
                os.kill(pid, number)
        time.sleep(0.5)
        assert parent.poll() is None and all(map(is_running, workers))
        parent.kill()
    deadline = time.monotonic() + 3
    while any(map(is_running, workers)):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)
