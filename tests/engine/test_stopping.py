"""Signals to real runs, and who ends with whom."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_run import tiny_command, train_request

from fcos_d2.engine import run
from fcos_d2.engine.step import StepTrainer
from fcos_d2.engine.stopping import StoppedBySignal
from fcos_d2.engine.trainer import Trainer

ROOT = Path(__file__).parents[2]


def start(folder, output, max_iter, *flags, **overrides):
    command = tiny_command(folder, output, max_iter, *flags, **overrides)
    return run(train_request(command))


def signal_in_step(number, at, monkeypatch):
    """The process gets the signal in the middle of a step, counted from 0."""
    accumulate, done = StepTrainer.accumulate, []

    def step(self, batches):
        done.append(1)
        if len(done) == at + 1:
            os.kill(os.getpid(), number)
        return accumulate(self, batches)

    monkeypatch.setattr(StepTrainer, "accumulate", step)


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGUSR1", 138), ("SIGINT", 130)])
def test_the_step_is_finished_and_saved(tmp_path, monkeypatch, number, code):
    before = signal.getsignal(getattr(signal, number))
    with monkeypatch.context() as patch, pytest.raises(StoppedBySignal) as stopped:
        signal_in_step(getattr(signal, number), 2, patch)
        start(tmp_path / "data", tmp_path / "out", 50)
    assert stopped.value.code == code
    line = f"stopped by {number} after iteration 2; the same command with --resume goes on from"
    assert line in (tmp_path / "out" / "log.txt").read_text()
    assert (tmp_path / "out" / "last_checkpoint").read_text() == "model_0000002.pth"
    saved = torch.load(tmp_path / "out" / "model_0000002.pth")["trainer"]
    assert saved["iteration"] == 2
    assert signal.getsignal(getattr(signal, number)) is before


def test_a_stopped_run_goes_on_as_if_nothing_were(tmp_path, monkeypatch):
    """Bit for bit, with two workers, whose images are as many as wanted after the signal."""
    overrides = {"SOLVER.EMA.ENABLED": True, "DATALOADER.NUM_WORKERS": 2}
    start(tmp_path / "data", tmp_path / "a", 5, **overrides)
    with monkeypatch.context() as patch, pytest.raises(StoppedBySignal):
        signal_in_step(signal.SIGINT, 2, patch)
        start(tmp_path / "data", tmp_path / "b", 5, **overrides)
    start(tmp_path / "data", tmp_path / "b", 5, "--resume", **overrides)
    unbroken, resumed = (torch.load(tmp_path / x / "model_final.pth") for x in ("a", "b"))
    assert unbroken.pop("class_names") == resumed.pop("class_names")
    torch.testing.assert_close(resumed, unbroken, rtol=0, atol=0)


def test_no_worker_outlives_the_training(tmp_path, monkeypatch):
    """Else the interpreter waits ten seconds for it at its end, and says that it was killed."""
    train, left = Trainer.train, []

    def train_and_look(self):
        results = train(self)
        left.append(multiprocessing.active_children())
        return results

    monkeypatch.setattr(Trainer, "train", train_and_look)
    start(tmp_path / "data", tmp_path / "out", 2, **{"DATALOADER.NUM_WORKERS": 2})
    assert left == [[]]


def test_an_evaluation_is_left_at_once(tmp_path, monkeypatch):
    def evaluate(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    monkeypatch.setattr(Trainer, "test", evaluate)
    begin = time.monotonic()
    with pytest.raises(StoppedBySignal):
        start(tmp_path / "data", tmp_path / "out", 9, **{"TEST.EVAL_PERIOD": 2})
    assert time.monotonic() - begin < 50
    assert (tmp_path / "out" / "last_checkpoint").read_text() == "model_0000001.pth"


def test_a_finished_run_says_so(tmp_path):
    start(tmp_path / "data", tmp_path / "out", 2)
    start(tmp_path / "data", tmp_path / "out", 1, "--resume")
    line = "already finished: the checkpoint has 2 iterations, and max_iter (SOLVER.MAX_ITER) is 1"
    assert line in (tmp_path / "out" / "log.txt").read_text()
    assert torch.load(tmp_path / "out" / "model_final.pth")["iteration"] == 1


@pytest.mark.slow
def test_all_ranks_stop_together(tmp_path):
    """The signal reaches the parent alone, which is no rank."""
    out = tmp_path / "out"
    command = tiny_command(tmp_path / "data", out, 100000, "--num-gpus", "2")
    command = [sys.executable, str(ROOT / "train_net.py"), *command]
    training = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while "iter: 19 " not in (log := (out / "log.txt")).read_text() if out.exists() else True:
        assert training.poll() is None
        time.sleep(0.2)
    training.send_signal(signal.SIGTERM)
    _, errors = training.communicate(timeout=60)
    assert training.returncode == 143 and "Traceback" not in errors
    assert log.read_text().count("stopped by SIGTERM after iteration") == 1
    assert torch.load(out / (out / "last_checkpoint").read_text())["iteration"] >= 19


def test_a_kill_before_the_last_file_takes_nothing(tmp_path):
    """The last checkpoint of the run was there, model_final not yet."""
    command = tiny_command(
        tmp_path / "data", tmp_path / "out", 2, **{"SOLVER.CHECKPOINT_PERIOD": 2}
    )
    run(train_request(command))
    final = tmp_path / "out" / "model_final.pth"
    expected = torch.load(final)
    final.unlink()
    (tmp_path / "out" / "last_checkpoint").write_text("model_0000001.pth")
    run(train_request([*command[:2], "--resume", *command[2:]]))
    made = torch.load(final)
    assert made["iteration"] == expected["iteration"] == 1
    torch.testing.assert_close(made["model"], expected["model"], rtol=0, atol=0)
