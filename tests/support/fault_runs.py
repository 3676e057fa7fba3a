"""Real runs of faulty_rank.py."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tiny_run import tiny_command

ROOT = Path(__file__).parents[2]


def run_with_fault(tmp_path, fault, *flags, launcher=(sys.executable,), **overrides):
    """Exit code and stderr of a run of two ranks; asserts that none of its processes is left.

    Args:
        fault: what, on which rank, in which iteration, as in faulty_rank.py.
        launcher: words of the command in front of the script.
    """
    command = tiny_command(tmp_path / "data", tmp_path / "out", 9, *flags, **overrides)
    environment = {"FAULT": fault, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    training = subprocess.Popen(
        [*launcher, str(Path(__file__).with_name("faulty_rank.py")), *command],
        env=os.environ | environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    _, errors = training.communicate(timeout=500)
    deadline = time.monotonic() + 15
    while (left := processes_of_session(training.pid)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left
    return training.returncode, errors


def processes_of_session(session):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(stat.parent.name)
    return found
