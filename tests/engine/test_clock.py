"""Real runs within a budget of some seconds."""

import json
import time

import pytest
import torch
from tiny_run import tiny_command, train_request

from fcos_d2.engine import run
from fcos_d2.engine.clock import FILE

SMALL = {"MODEL.RESNETS.NORM": "FrozenBN", "SOLVER.EMA.ENABLED": True}


def train(folder, *flags, begun=None, **overrides):
    """Seconds that it took, and the lines of metrics.json."""
    command = tiny_command(folder / "data", folder / "out", 100, *flags, **SMALL | overrides)
    request = train_request(command)
    began = time.monotonic() if begun is None else begun
    request.begun = began
    run(request)
    seconds = time.monotonic() - began
    lines = (folder / "out" / "metrics.json").read_text().splitlines()
    return seconds, [json.loads(line) for line in lines]


def test_a_run_takes_its_time_and_ends_annealed(tmp_path):
    seconds, lines = train(tmp_path, "--budget", "14s")
    assert seconds == pytest.approx(14, rel=0.1)  # of so short a time, one step is a large part
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "14 s budget, of which" in log
    assert "of a budget of 0:00:14" in log
    final = torch.load(tmp_path / "out" / "model_final.pth")
    clock = final["trainer"]["hooks"]["Clock"]
    assert clock["progress"] == 1
    iterations = final["iteration"] + 1
    rates = [line["lr"] for line in lines if "lr" in line]
    assert rates[-1] < 0.001 * 3 / iterations  # of 0.001, on half a cosine
    assert (tmp_path / "out" / FILE).is_file()
