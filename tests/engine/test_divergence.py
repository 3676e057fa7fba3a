import math
import sys
from pathlib import Path

import pytest
import torch
import two_ranks
from detectron2.utils import comm
from torch import nn

from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.engine import DivergenceGuard, TrainingDiverged, launch
from fcos_d2.engine.divergence import one_rank_tells
from fcos_d2.engine.step import StepTrainer
from fcos_d2.engine.train_log import quiet_train_loop
from fcos_deploy.door import enter


class OneWeight(nn.Module):
    """loss = factor * weight, where the batch gives the factor; a norm sees the factor, too."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))
        self.norm = nn.BatchNorm1d(1, affine=False)

    def forward(self, batch):
        self.norm(torch.full((2, 1), float(batch[0]["factor"])))
        return {"loss_fcos_cls": self.weight * batch[0]["factor"]}


def train(tmp_path, factors, max_grad_norm=math.inf):
    model = OneWeight()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [[{"factor": f, "file_name": f"{i}.jpg"}] for i, f in enumerate(factors)]
    trainer = StepTrainer(model, batches, optimizer, max_grad_norm=max_grad_norm)
    checkpointer = FCOSCheckpointer(model, str(tmp_path), trainer=trainer)
    trainer.guard = DivergenceGuard(model, optimizer, checkpointer)
    return model, trainer, lambda: trainer.train(0, len(factors))


def test_loss_that_is_not_finite_stops_with_good_weights(tmp_path):
    _model, _, run = train(tmp_path, [1.0, 2.0, math.nan, 1.0])
    with pytest.raises(TrainingDiverged) as stopped:
        run()
    message = str(stopped.value)
    assert "iteration 2" in message and "learning rate 0.1" in message
    assert "loss_fcos_cls=nan" in message and "2.jpg" in message
    saved = torch.load(tmp_path / "model_diverged_0000002.pth")
    # 1 - 0.1 * 1 - 0.1 * 2 = 0.7
    assert saved["model"]["weight"].item() == pytest.approx(0.7)
    assert saved["iteration"] == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_statistics_of_norms_are_those_before_the_bad_batch(tmp_path, bad, caplog):
    """0.9 x (0.9 x 0 + 0.1 x 1) + 0.1 x 2 = 0.29 after two batches; the third is not counted."""
    _, _, run = train(tmp_path, [1.0, 2.0, bad])
    with pytest.raises(TrainingDiverged):
        run()
    saved = torch.load(tmp_path / "model_diverged_0000002.pth")["model"]
    assert saved["norm.running_mean"].item() == pytest.approx(0.29)
    assert saved["norm.running_var"].item() == pytest.approx(0.81)
    assert saved["norm.num_batches_tracked"].item() == 2
    model, trainer, run = train(tmp_path, [1.0] * 4)
    trainer_checkpointer = trainer.guard.checkpointer
    assert trainer_checkpointer.resume_or_load("")["iteration"] == 2
    assert "goes on with the state before iteration 2" in caplog.text
    assert model.norm.running_mean.item() == pytest.approx(0.29)


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


def test_only_what_a_forward_pass_changes_is_kept():
    """Frozen norms and buffers that are not saved are left out."""
    from detectron2.layers import FrozenBatchNorm2d

    model = nn.Sequential(nn.BatchNorm2d(2), FrozenBatchNorm2d(2), nn.Linear(1, 1))
    model.register_buffer("pixel_mean", torch.zeros(3), persistent=False)
    guard = DivergenceGuard(model, torch.optim.SGD(model.parameters(), lr=1), None)
    kept = [x.shape for group in guard._before for x in group]
    assert kept == [(2,), (2,), ()]


def diverge_on_rank_1(args):
    """What each of two processes does: the batch of rank 1 is bad in iteration 1."""
    bad = math.nan if comm.get_rank() == 1 else 1.0
    _, _, run = train(Path(args.output), [1.0, bad, 1.0])

    quiet_train_loop()

    def command():
        with one_rank_tells():
            run()

    sys.exit(enter(command))


@pytest.mark.slow
def test_all_ranks_stop_and_the_image_of_the_bad_one_is_named(tmp_path, capfd):
    args = two_ranks.arguments(2, str(tmp_path), [])
    with pytest.raises(SystemExit) as stopped:
        launch(diverge_on_rank_1, args)
    assert stopped.value.code == 1
    errors = capfd.readouterr()
    said = errors.out + errors.err
    assert said.count("Training diverged on rank 1: a loss is not finite at iteration 1") == 1
    saved = torch.load(tmp_path / "model_diverged_0000001.pth")
    assert saved["model"]["norm.num_batches_tracked"].item() == 1
