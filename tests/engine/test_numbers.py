"""A whole step on the meta device, where whatever looks at a value raises an error."""

import torch
from detectron2.utils.events import EventStorage
from torch import nn

from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.engine import DivergenceGuard, numbers
from fcos_d2.engine.ema import WeightAverage
from fcos_d2.engine.step import StepTrainer


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))

    def forward(self, batch):
        found = self.layers(batch)
        return {"loss_a": found.mean(), "loss_b": found.square().mean()}


def test_a_step_waits_once(tmp_path, monkeypatch):
    """With clipping, guard, log and the mean of the weights; the numbers go where they belong."""
    waits = []
    monkeypatch.setattr(numbers, "to_host", lambda x: waits.append(x) or [1.0, 2.0, 4.0])
    model = Model().to("meta")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    batch = torch.empty(4, 3, device="meta")
    trainer = StepTrainer(model, [batch] * 3, optimizer, max_grad_norm=1.0)
    trainer.guard = DivergenceGuard(model, optimizer, FCOSCheckpointer(model, str(tmp_path)))
    average = WeightAverage(model)
    with EventStorage() as storage:
        for trainer.iter in range(3):
            trainer.run_step()
            average.after_step()
    assert len(waits) == 3 and waits[0].shape == (3,)
    found = {name: value for name, (value, _) in storage.latest().items()}
    assert (found["loss_a"], found["loss_b"], found["total_loss"]) == (1, 2, 3)
    assert found["grad_norm"] == 4
