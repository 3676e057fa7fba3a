"""Runs with a budget on a clock that only their steps, evaluations and checkpoints move."""

import json
from types import SimpleNamespace

import torch
from tiny_run import tiny_command, train_request

from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.engine import (
    clock,
    command,
    curves,
    evaluation_time,
    final_report,
    label_forecast,
    run,
    trainer,
)
from fcos_d2.engine.step import StepTrainer

STEP, EVALUATION = 2.0, 1.0  # s


class Killed(BaseException):
    pass


class MadeUpTime:
    """Begins at 100 s; may kill the run in a step, counted over all lives."""

    def __init__(self, monkeypatch):
        self.now, self.steps, self.kill_at = 100.0, 0, -1
        self.ap = iter(range(1000))
        for module in (clock, evaluation_time, label_forecast):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))

        def step(_, batches):
            self.steps += 1
            if self.steps == self.kill_at:
                raise Killed
            self.now += STEP
            return {"loss_made_up": torch.tensor(1.0)}  # without gradients, nothing is learned

        def evaluate(*args, **kwargs):
            self.now += EVALUATION
            return {"bbox": {"AP": float(next(self.ap))}}

        def draw(output_dir):
            self.now += curves.SECONDS

        monkeypatch.setattr(command, "draw_curves", draw)
        monkeypatch.setattr(final_report, "SHARE", 0.0)  # a report takes no made-up time
        monkeypatch.setattr(StepTrainer, "accumulate", step)
        monkeypatch.setattr(trainer.Trainer, "test", evaluate)
        # What is written is not looked at here, and takes most of the real time.
        save = FCOSCheckpointer.save

        def save_some(checkpointer, name, tag=True, **extra):
            if name == "model_final" or (tag and self.kill_at > 0):
                save(checkpointer, name, tag, **extra)

        monkeypatch.setattr(FCOSCheckpointer, "save", save_some)


def train(folder, made_up, *flags, start=5.0, **overrides):
    """The lines of metrics.json of a run whose start takes 5 s."""
    command = tiny_command(folder / "data", folder / "out", 100, *flags, **overrides)
    request = train_request(command)
    request.begun = made_up.now
    made_up.now += start
    run(request)
    lines = (folder / "out" / "metrics.json").read_text().splitlines()
    return [json.loads(line) for line in lines]
