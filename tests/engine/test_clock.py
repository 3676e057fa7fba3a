"""Real runs with a budget, on a clock that only steps, evaluations and checkpoints move."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from made_up_time import STEP, Killed, MadeUpTime, train
from tiny_run import make_tiny_coco, tiny_command, train_request

from fcos_d2 import model_zoo
from fcos_d2.data.mixing import ImageMixing
from fcos_d2.engine import clock as clock_file
from fcos_d2.engine import run
from fcos_d2.engine.budget import Budget, Decision
from fcos_d2.engine.clock import FILE, Clock
from fcos_d2.engine.run_of import run_of
from fcos_d2.engine.run_parts import Changes
from fcos_d2.engine.trainer import Trainer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def made_up(monkeypatch):
    return MadeUpTime(monkeypatch)


def test_a_run_takes_its_time_and_ends_annealed(tmp_path, made_up, monkeypatch):
    """66 s: 5 for the start, 4 evaluations and 1.5 at the end leave 27.75 steps of 2 s.

    The first evaluation comes after a tenth, as long as it seems to take no time; then three fit
    into a twentieth of the budget.
    """
    seen, rates = [], []
    monkeypatch.setattr(
        ImageMixing, "__call__", lambda self, record, *_: seen.append(record["iteration"])
    )
    monkeypatch.setattr(
        torch.optim.AdamW,
        "step",
        lambda self, closure=None: rates.append(self.param_groups[0]["lr"]),
    )
    lines = train(
        tmp_path,
        made_up,
        *("--budget", "66s"),
        **{"SOLVER.EMA.ENABLED": True, "INPUT.MIX.MOSAIC_PROB": 1.0, "SOLVER.WARMUP_ITERS": 5},
    )
    assert 63 < made_up.now - 100 <= 66
    assert made_up.steps == len(rates) == 27
    # From 0 over the top, 5 % of the way, down a cosine; 1.75 of 27.75 steps are left at the last.
    assert 0.0009 < max(rates) < 0.001 and max(rates) in rates[1:4]
    assert rates[-1] == pytest.approx(0.001 * (1 - math.cos(math.pi * 1.75 / 27.75)) / 2, rel=0.05)
    # Images are mixed as at the iteration of 100 that the progress stands for.
    assert seen[::2] == seen[1::2]
    assert seen[::2] == pytest.approx([100 * i / 27.75 for i in range(27)], abs=2.5)
    evaluated = [line["iteration"] for line in lines if "bbox/AP" in line]
    assert len(evaluated) == 4 and evaluated[-1] == 27
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "66 s budget, of which 5 s are used" in log
    assert "66 s budget: about 2" in log
    assert "of a budget of 0:01:06" in log
    final = torch.load(tmp_path / "out" / "model_final.pth")
    assert final["iteration"] == 26
    assert final["trainer"]["hooks"]["Clock"]["progress"] == 1


def test_a_killed_run_goes_on_in_the_time_that_is_left(tmp_path, made_up):
    """The kill comes some steps after a checkpoint: their time is gone, too."""
    made_up.kill_at = 12
    with pytest.raises(Killed):
        train(tmp_path, made_up, "--budget", "60s")
    used = made_up.now - 100
    noted = json.loads((tmp_path / "out" / FILE).read_text())["seconds_used"]
    assert noted == pytest.approx(used, abs=STEP + 0.1)
    saved = torch.load(tmp_path / "out" / (tmp_path / "out" / "last_checkpoint").read_text())
    clock = saved["trainer"]["hooks"]["Clock"]
    assert clock["used"] < noted and 0 < clock["progress"] < 0.6
    made_up.now += 1000  # between the lives
    before = made_up.now
    lines = train(tmp_path, made_up, "--budget", "60s", "--resume")
    assert 56 < used + made_up.now - before <= 60 + STEP
    rates = [line["lr"] for line in lines if "lr" in line]
    assert rates[-1] < 0.00003
    # Once more: nothing is left to do.
    steps = made_up.steps
    train(tmp_path, made_up, "--budget", "60s", "--resume")
    assert made_up.steps == steps
    assert "already finished" in (tmp_path / "out" / "log.txt").read_text()


def test_a_run_that_is_killed_before_its_first_checkpoint(tmp_path, made_up):
    made_up.kill_at = 2
    with pytest.raises(Killed):
        train(tmp_path, made_up, "--budget", "60s")
    assert not (tmp_path / "out" / "last_checkpoint").exists()
    used = made_up.now - 100
    made_up.now += 1000
    before = made_up.now
    train(tmp_path, made_up, "--budget", "60s", "--resume")
    assert 56 < used + made_up.now - before <= 60 + STEP


def test_a_kill_in_an_evaluation_loses_no_time(tmp_path, made_up, monkeypatch):
    """Of 60 s, the evaluation after 9 steps takes 12, and the kill comes at its end."""
    monkeypatch.setattr(clock_file, "FILE_SECONDS", 0.01)
    made_up.kill_at = 1000  # so that checkpoints are written
    noted = []

    def killed(*args, **kwargs):
        made_up.now += 12
        deadline = time.monotonic() + 20
        while not noted or noted[-1] < made_up.now - 100 - 0.1:  # as a kill would find it
            assert time.monotonic() < deadline, noted
            time.sleep(0.02)
            noted.append(json.loads((tmp_path / "out" / FILE).read_text())["seconds_used"])
        raise Killed

    evaluate = Trainer.test
    monkeypatch.setattr(Trainer, "test", killed)
    period = {"TEST.EVAL_PERIOD": 9}
    with pytest.raises(Killed):
        train(tmp_path, made_up, "--budget", "60s", **period)
    used = made_up.now - 100
    assert noted[-1] == pytest.approx(used, abs=0.1)
    (tmp_path / "out" / FILE).write_text(json.dumps({"seconds_used": noted[-1]}))
    monkeypatch.setattr(Trainer, "test", evaluate)
    before = made_up.now = made_up.now + 1000
    train(tmp_path, made_up, "--budget", "60s", "--resume", **period)
    assert 57 <= used + made_up.now - before <= 60 + STEP


def test_a_life_that_ends_while_it_starts_counts(tmp_path, monkeypatch):
    """Twice killed before a step: 10 and 5 s. The third life knows, and counts nothing twice."""
    monkeypatch.setattr(clock_file, "FILE_SECONDS", 0.01)
    now = SimpleNamespace(now=0.0)
    monkeypatch.setattr(clock_file, "time", SimpleNamespace(monotonic=lambda: now.now))

    def noted_soon(seconds):
        deadline = time.monotonic() + 20
        path = tmp_path / FILE
        while not (path.exists() and json.loads(path.read_text())["seconds_used"] == seconds):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    used = 0.0
    for resume, seconds in ((False, 10.0), (True, 5.0)):
        begun = now.now
        clock = Clock(Budget(60, 100), begun, str(tmp_path))
        clock.take_up(resume)
        now.now += seconds
        used += seconds
        noted_soon(used)
        clock.take_up(resume)  # the trainer asks again when it loads weights
        assert clock.used == used
        clock._noting.set()
        now.now += 500.0
    clock = Clock(Budget(60, 100), now.now, str(tmp_path))
    clock.take_up(resume=True)
    assert clock.used == 15.0 and clock.left == 45.0
    clock.after_train()
    assert clock._noting.is_set(), "nobody writes any more"


def test_a_budget_that_is_too_short(tmp_path, made_up):
    with pytest.raises(ValueError) as error:
        train(tmp_path, made_up, "--budget", "6s", start=5.0)
    assert str(error.value).startswith(
        "a budget (SOLVER.BUDGET) of 6 s is too short: start, one iteration and the evaluation "
        "take about "
    )
    assert made_up.steps == 1


def test_patience_within_a_budget(tmp_path, made_up):
    made_up.ap = iter([3.0, 2.0, 1.0, 0.5, 0.4, 0.3])
    train(tmp_path, made_up, "--budget", "120s", **{"TEST.EARLY_STOP_PATIENCE": 2})
    assert made_up.now - 100 < 75
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "no better bbox/AP in 2 evaluations" in log


def test_a_period_that_is_given_is_obeyed(tmp_path, made_up):
    lines = train(tmp_path, made_up, "--budget", "60s", **{"TEST.EVAL_PERIOD": 9})
    evaluated = [line["iteration"] for line in lines if "bbox/AP" in line]
    assert evaluated[:-1] == [8, 17]


def test_without_a_budget_nothing_is_there(tmp_path, made_up):
    lines = train(tmp_path, made_up, **{"SOLVER.MAX_ITER": 2})
    assert made_up.steps == 2
    assert not (tmp_path / "out" / FILE).exists()
    assert not any("clock" in name for line in lines for name in line)


@pytest.mark.parametrize(
    ("name", "key", "period"),
    [
        ("Recipes/R18-Scratch", "SOLVER.BUDGET 90.0", "TEST.EVAL_PERIOD 7"),
        ("lazy/Recipes/R18-Scratch", "train.budget=90", "train.eval_period=7"),
    ],
)
def test_yaml_and_lazy(name, key, period):
    """A recipe's period gives way to the progress; one that is given stays."""
    made = run_of(model_zoo.get_config(name, [*key.split(), *period.split()]))
    assert (made.training().budget, made.training().eval_period) == (90, 7)
    by_progress = made.finish(Changes(eval_by_progress=True, trains=False)).training()
    assert (by_progress.budget, by_progress.eval_period) == (90, 0)
    assert made.finish(Changes(trains=False)).training().eval_period == 7


@pytest.mark.parametrize("value", ["-1.0", "1e999"])
def test_no_time(tmp_path, value):
    command = tiny_command(tmp_path / "data", tmp_path / "out", 3, **{"SOLVER.BUDGET": value})
    with pytest.raises(ValueError, match="budget.*above 0"):
        run(train_request(command))


def test_other_ranks_do_what_the_first_one_decides(tmp_path, monkeypatch):
    """Their own clocks do not count."""
    main, other = (Clock(Budget(100, 50), 0.0, str(tmp_path)) for _ in range(2))
    main.budget.begin(10)
    monkeypatch.setattr(clock_file, "time", SimpleNamespace(monotonic=lambda: 11.0))
    decided = main.numbers(1)
    monkeypatch.setattr(clock_file.comm, "is_main_process", lambda: False)
    own = other.numbers(1)
    assert own.keys() == decided.keys() and set(own.values()) == {0.0}
    for clock in (main, other):
        clock.obey(decided)
    assert main.decision == other.decision != Decision(progress=0.0)
    assert main.budget.position() == other.budget.position() > 0


@pytest.mark.slow
def test_a_minute_beside_another_program(tmp_path):
    """From outside, with everything that Python does before and after, on one core of its own."""
    json_file, images = make_tiny_coco(tmp_path / "data")
    data = ["--train-data", json_file, "--train-images", images]
    data += ["--val-data", json_file, "--val-images", images]
    command = [sys.executable, "-m", "fcos_cli", "train", "--config", "Recipes/R18-Scratch"]
    command += [*data, "--output", str(tmp_path / "out"), "--device", "cpu", "--budget", "60s"]
    busy = "import time\ntime.sleep(30)\nwhile True: pass"
    other = subprocess.Popen([sys.executable, "-c", busy])
    try:
        begin = time.monotonic()
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - begin
    finally:
        other.kill()
    assert seconds == pytest.approx(60, rel=0.05)
    final = torch.load(tmp_path / "out" / "model_final.pth")
    assert final["trainer"]["hooks"]["Clock"]["progress"] == 1
