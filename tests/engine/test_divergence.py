import math

import pytest
import torch
from detectron2.engine import SimpleTrainer
from torch import nn

from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.engine import DivergenceGuard, TrainingDiverged


class OneWeight(nn.Module):
    """loss = factor * weight, where the batch gives the factor."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, batch):
        return {"loss_fcos_cls": self.weight * batch[0]["factor"]}


def train(tmp_path, factors, max_grad_norm=math.inf):
    model = OneWeight()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [[{"factor": f, "file_name": f"{i}.jpg"}] for i, f in enumerate(factors)]
    trainer = SimpleTrainer(model, batches, optimizer)
    checkpointer = FCOSCheckpointer(model, str(tmp_path), trainer=trainer)
    trainer.register_hooks([DivergenceGuard(model, optimizer, checkpointer, max_grad_norm)])
    return model, trainer, lambda: trainer.train(0, len(factors))


def test_loss_that_is_not_finite_stops_with_good_weights(tmp_path):
    model, _, run = train(tmp_path, [1.0, 2.0, math.nan, 1.0])
    with pytest.raises(TrainingDiverged) as stopped:
        run()
    message = str(stopped.value)
    assert "iteration 2" in message and "learning rate 0.1" in message
    assert "loss_fcos_cls=nan" in message and "2.jpg" in message
    saved = torch.load(tmp_path / "model_diverged_0000002.pth")
    # 1 - 0.1 * 1 - 0.1 * 2 = 0.7
    assert saved["model"]["weight"].item() == pytest.approx(0.7)
    assert saved["iteration"] == 2


def test_gradient_that_is_not_finite_stops_before_the_step(tmp_path):
    model, _, run = train(tmp_path, [1.0, 1.0])
    model.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(TrainingDiverged, match="the gradient is not finite at iteration 0"):
        run()
    assert model.weight.item() == 1.0


def test_clipping(tmp_path):
    model, trainer, run = train(tmp_path, [4.0], max_grad_norm=2.0)
    run()
    # gradient 4 is clipped to 2: 1 - 0.1 * 2 = 0.8
    assert model.weight.item() == pytest.approx(0.8, abs=1e-5)
    assert trainer.storage.latest()["grad_norm"][0] == 4.0


def test_nothing_stays_behind(tmp_path):
    model, trainer, run = train(tmp_path, [1.0])
    run()
    assert not model._forward_hooks and not trainer.optimizer._optimizer_step_pre_hooks
