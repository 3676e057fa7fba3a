"""Learning rates of a resumed run are those of its config."""

import math

import pytest
import torch
from detectron2.solver import LRMultiplier
from fvcore.common.param_scheduler import LinearParamScheduler
from torch import nn

from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.engine.schedule import LRScheduler
from fcos_d2.engine.step import StepTrainer


class OneWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, batch):
        return {"loss": self.weight * batch}


def build(folder, lr, lazy, weight_decay=0.0):
    """The rate falls from `lr` to 0 in 10 iterations; a python config gives the schedule alone."""
    model = OneWeight()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, weight_decay=weight_decay)
    trainer = StepTrainer(model, [torch.tensor(1.0)] * 10, optimizer)
    schedule = LinearParamScheduler(1.0, 0.0)
    scheduler = schedule if lazy else LRMultiplier(optimizer, schedule, max_iter=10)
    trainer.register_hooks([LRScheduler(optimizer, scheduler)])
    return trainer, FCOSCheckpointer(model, str(folder), trainer=trainer)


def rates(trainer, start, stop, max_iter=10):
    seen = []
    trainer.optimizer.register_step_pre_hook(
        lambda optimizer, *_: seen.append(optimizer.param_groups[0]["lr"])
    )
    run_step = trainer.run_step

    def step():
        if trainer.iter == stop:
            raise KeyboardInterrupt
        run_step()

    trainer.run_step = step
    try:
        trainer.train(start, max_iter)
    except KeyboardInterrupt:
        trainer.iter = stop - 1
    return seen


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("lr", [1.0, 0.5])
def test_resumed(tmp_path, lazy, lr, caplog):
    """4 iterations at 1, .9, .8, .7; then with `lr` .6 lr, .5 lr, ..."""
    first, checkpointer = build(tmp_path, 1.0, lazy)
    assert rates(first, 0, 4) == pytest.approx([1, 0.9, 0.8, 0.7])
    checkpointer.save("model_0000003", iteration=3)
    second, checkpointer = build(tmp_path, lr, lazy, weight_decay=0.1 * (lr != 1))
    checkpointer.resume_or_load("")
    assert second.iter == 3
    assert rates(second, 4, 99) == pytest.approx([lr * x / 10 for x in range(6, 0, -1)])
    said = "the config counts, not the checkpoint: lr 1.0 -> 0.5, weight_decay 0.0 -> 0.1"
    assert (said in caplog.text) == (lr != 1)
    assert math.isclose(second.optimizer.param_groups[0]["initial_lr"], lr)
