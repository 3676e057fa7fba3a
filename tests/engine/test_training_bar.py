"""The bar of a training: what it says at each iteration."""

import sys
from types import SimpleNamespace

import pytest
from detectron2.utils.events import EventStorage
from terminal import PseudoTerminal
from tiny_run import tiny_command, train_request

from fcos_d2.engine import run, training_bar
from fcos_d2.engine.training_bar import TrainingBar


@pytest.fixture
def now(monkeypatch):
    time = SimpleNamespace(now=100.0)
    monkeypatch.setattr(training_bar, "time", SimpleNamespace(monotonic=lambda: time.now))
    return time


def start(stream, clock=None, begin=0):
    bar = TrainingBar(stream, "bbox/AP", clock)
    bar.trainer = SimpleNamespace(
        iter=begin, start_iter=begin, max_iter=9, storage=EventStorage(begin)
    )
    bar.before_train()
    return bar


def step(bar, iteration, **numbers):
    bar.trainer.iter = iteration
    bar.trainer.storage.put_scalars(**numbers, smoothing_hint=False)
    bar.after_step()


def words(terminal):
    (line,) = terminal.screen()
    head, _, rest = line.split("|")
    return f"{head}|{rest}"


def test_a_run_of_so_many_iterations(now):
    """The first one takes 50 s; the next two, with what came between, 3 s each."""
    with PseudoTerminal(100) as terminal:
        bar = start(terminal.stream)
        now.now += 50
        step(bar, 0, total_loss=2.0)
        assert words(terminal) == "training  11%| iteration 1 of 9, loss 2"
        now.now += 2
        step(bar, 1, total_loss=1.0)
        now.now += 4
        terminal.text = ""
        step(bar, 2, total_loss=0.5, **{"bbox/AP": 41.23})
        # 6 iterations of 3 s; the median loss.
        assert words(terminal) == (
            "training  33%| iteration 3 of 9, 0:00:18 left, loss 1, bbox/AP 41.2"
        )
        bar.after_train()
        assert terminal.screen() == []


def test_a_resumed_run_counts_its_own_iterations(now):
    with PseudoTerminal(100) as terminal:
        bar = start(terminal.stream, begin=5)
        step(bar, 5)
        now.now += 4
        terminal.text = ""
        step(bar, 6)
        assert words(terminal) == "training  78%| iteration 7 of 9, 0:00:08 left"
        bar.after_train()


def test_a_budget_is_its_time(now):
    clock = SimpleNamespace(used=15.0, left=45.0, budget=SimpleNamespace(seconds=60.0))
    with PseudoTerminal(100) as terminal:
        bar = start(terminal.stream, clock)
        step(bar, 36)
        assert words(terminal) == "training  25%| iteration 37, 0:00:45 left"
        bar.after_train()


def test_ten_pictures_a_second_are_enough(now):
    with PseudoTerminal(100) as terminal:
        bar = start(terminal.stream)
        step(bar, 0)
        terminal.screen()
        terminal.text = ""
        now.now += 0.05
        step(bar, 1)
        assert terminal.screen() == []
        now.now += 0.06
        step(bar, 2)
        assert words(terminal).startswith("training  33%")
        bar.after_train()


@pytest.mark.slow
def test_a_training_in_a_terminal(tmp_path, monkeypatch):
    """While it runs there are bars, and afterwards only lines, each of them whole."""
    for name in ("CI", "TQDM_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    settings = {"TEST.EVAL_PERIOD": 2, "TEST.LOSS": True}
    command = tiny_command(tmp_path / "data", tmp_path / "out", 3, **settings)
    with PseudoTerminal(200) as terminal:
        monkeypatch.setattr(sys, "stdout", terminal.stream)
        run(train_request(command))
        lines = terminal.screen()
    for what in ("training ", "evaluating ", "losses "):
        assert f"{what}  0%|" in terminal.text or f"{what} 33%|" in terminal.text
    assert not any("%|" in line or "eta: " in line for line in lines)
    assert "  curves " in "\n".join(lines) and lines[-1].startswith("  next ")
    assert "eta: " in (tmp_path / "out" / "log.txt").read_text()
