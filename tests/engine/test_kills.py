"""SIGKILL at twenty moments of a run: at its start, in steps, checkpoints and evaluations."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from tiny_run import tiny_command, train_request

from fcos_d2.engine import run

SETTINGS = {
    "SOLVER.CHECKPOINT_PERIOD": 2,
    "TEST.EVAL_PERIOD": 3,
    "SOLVER.EMA.ENABLED": True,
    "DATALOADER.NUM_WORKERS": 2,
    "INPUT.RANDOM_FLIP": "horizontal",
}
MOMENTS = 20


def start_run(folder: Path, out: Path) -> int:
    """The process of a training of 8 iterations, which goes on where one has been."""
    command = tiny_command(folder, out, 8, "--resume", **SETTINGS)
    if pid := os.fork():
        return pid
    try:
        run(train_request(command))
        os._exit(0)
    finally:
        os._exit(1)


def finish(folder: Path, out: Path) -> dict:
    _, status = os.waitpid(start_run(folder, out), 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return torch.load(out / "model_final.pth")


def kill_after(share: float, folder: Path, out: Path, seconds: float) -> float:
    """Kills a run after a share of the seconds that it takes; returns these, as seen last."""
    while True:
        shutil.rmtree(out, ignore_errors=True)
        pid, start = start_run(folder, out), time.monotonic()
        while time.monotonic() - start < share * seconds and not os.waitpid(pid, os.WNOHANG)[0]:
            time.sleep(0.01)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it was faster than the one before
            seconds = 0.9 * (time.monotonic() - start)
            continue
        assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        return seconds


@pytest.mark.slow
def test_twenty_kills_change_nothing(tmp_path):
    start = time.monotonic()
    undisturbed = finish(tmp_path / "data", tmp_path / "undisturbed")
    seconds = time.monotonic() - start
    for moment in range(MOMENTS):
        out = tmp_path / f"killed_{moment}"
        seconds = kill_after((moment + 0.5) / MOMENTS, tmp_path / "data", out, seconds)
        resumed = finish(tmp_path / "data", out)
        for key in ("model", "model_in_training", "iteration"):
            torch.testing.assert_close(resumed[key], undisturbed[key], rtol=0, atol=0)
        assert not [*out.glob("*.tmp*")]
