"""Accumulated gradients are those of one batch; mixed precision trains."""

import math

import pytest
import torch
import two_ranks
from detectron2.utils.events import EventStorage
from torch import nn

from fcos_d2 import model_zoo
from fcos_d2.device import cpu_has_bf16
from fcos_d2.engine import distributed
from fcos_d2.engine.step import StepTrainer
from fcos_d2.modeling.normalizers import LOSS_NORMALIZERS

FROZEN = ("MODEL.RESNETS.NORM", "FrozenBN")  # batch norms see each batch by itself
BOXES = [3, 5, 0, 0, 1, 0, 2, 4]  # of 8 images; the second batch of two has none


def step(tmp_path, processes, accumulate_steps, *opts):
    output = str(tmp_path / f"{processes}x{accumulate_steps}.pth")
    args = two_ranks.arguments(processes, output, BOXES, accumulate_steps, FROZEN + opts)
    distributed.launch(two_ranks.main, args)
    return torch.load(output)


@pytest.mark.parametrize("kind", LOSS_NORMALIZERS)
def test_four_batches_of_two_equal_one_of_eight(tmp_path, kind):
    opts = ("MODEL.FCOS.LOSS_NORMALIZER_CLS", kind)
    whole, parts = step(tmp_path, 1, 1, *opts), step(tmp_path, 1, 4, *opts)
    assert all(loss > 0 for loss in whole["losses"].values())
    # The model is float64, the weights of the box loss are summed up in float32.
    torch.testing.assert_close(parts, whole, rtol=1e-6, atol=1e-9)


def test_two_processes_with_two_batches_each_equal_one(tmp_path, without_gpus):
    torch.testing.assert_close(step(tmp_path, 2, 2), step(tmp_path, 1, 1), rtol=1e-6, atol=1e-9)


def test_batches_that_cannot_share_count_the_same():
    """A model that is no FCOS: mean of the gradients 2 and 6 of its two batches."""

    class Square(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, batch):
            return {"loss": self.weight.square() * batch}

    model = Square()
    trainer = StepTrainer(model, [], torch.optim.SGD(model.parameters(), lr=1), accumulate_steps=2)
    losses = trainer.accumulate([torch.tensor(1.0), torch.tensor(3.0)])
    assert losses["loss"].item() == 2 and model.weight.grad.item() == 4


@pytest.mark.skipif(not cpu_has_bf16(), reason="this CPU cannot compute in bf16")
@pytest.mark.parametrize("steps", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_bfloat16_on_the_cpu(steps):
    """Convolutions in bfloat16, losses in float32; they fall, and nothing is NaN."""
    torch.manual_seed(0)
    model = model_zoo.get_model("Recipes/R18-Scratch", list(two_ranks.OPTS)).train()
    dtypes = set()
    model.proposal_generator.fcos_head.cls_logits.register_forward_hook(
        lambda module, inputs, output: dtypes.add(output.dtype)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batch = two_ranks.make_batch([3, 5])
    trainer = StepTrainer(model, iter([batch] * steps), optimizer, precision="bf16")
    totals = []
    with EventStorage() as trainer.storage:
        for trainer.iter in range(steps):
            trainer.run_step()
            totals.append(trainer.storage.latest()["total_loss"][0])
    losses = trainer.accumulate([batch])
    assert dtypes == {torch.bfloat16}
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    assert all(math.isfinite(total) for total in totals)
    assert sum(totals[-5:]) < 0.6 * sum(totals[:5])
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


@pytest.mark.parametrize(("capability", "dtype"), [("AVX2", None), ("AVX512", torch.bfloat16)])
def test_bfloat16_only_where_it_is_fast(monkeypatch, caplog, capability, dtype):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    model = nn.Linear(1, 1)
    trainer = StepTrainer(model, [], torch.optim.SGD(model.parameters()), precision="bf16")
    assert trainer.dtype is dtype
    assert ("training in float32" in caplog.text) == (dtype is None)


@pytest.mark.parametrize(
    ("precision", "message"),
    [("fp16", "needs a CUDA device"), ("int8", "one of .*'bf16'.* got 'int8'")],
)
def test_mistakes_are_named(precision, message):
    model = nn.Linear(1, 1)
    with pytest.raises(ValueError, match=message):
        StepTrainer(model, [], torch.optim.SGD(model.parameters()), precision=precision)
