"""The moving mean of the weights against its closed form, and its way through checkpoints."""

import pytest
import torch
from torch import nn

from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.engine.budget import Budget, Decision
from fcos_d2.engine.ema import WeightAverage, decay_at


def model_of(value):
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.constant_(model[0].weight, value)
    model[1].running_mean.fill_(value)
    return model


def set_to(model, value):
    with torch.no_grad():
        model[0].weight.fill_(value)
        model[1].running_mean.fill_(value)


def test_closed_form():
    """Decays 1/10, 2/11, 3/12, then the limit of 0.3: each mean is d x mean + (1 - d) x value."""
    model = model_of(8.0)
    average = WeightAverage(model, decay=0.3)
    expected = 8.0
    for value, decay in (
        (1.0, 0.1),
        (2.0, 2 / 11),
        (4.0, 0.25),
        (3.0, 4 / 13 if 4 / 13 < 0.3 else 0.3),
    ):
        set_to(model, value)
        average.after_step()
        expected = decay * expected + (1 - decay) * value
        assert average.model[0].weight.item() == pytest.approx(expected, rel=1e-6)
        assert average.model[1].running_mean.item() == pytest.approx(expected, rel=1e-6)
    assert average.num_updates == 4
    assert model[0].weight.item() == 3.0


def test_a_step_of_a_budget_may_be_many_iterations():
    """After the first, whose decay is 1/10, one of half an iteration and one of two at 0.1 each."""
    model, budget = model_of(8.0), Budget(100, 10)
    average = WeightAverage(model, 0.1, budget)
    expected = 8.0
    for value, stride in ((1.0, 1.0), (2.0, 0.5), (4.0, 2.0)):
        budget.obey(Decision(progress=budget.progress + stride / 10))
        set_to(model, value)
        average.after_step()
        # min with the warm-up: 1/10, 2/11, 3/12
        decay = {1.0: 0.1, 0.5: 2 / 11, 2.0: 0.01}[stride]
        expected = decay * expected + (1 - decay) * value
        assert average.model[0].weight.item() == pytest.approx(expected, rel=1e-6)


def test_decay():
    assert [decay_at(n, 0.5) for n in (0, 1, 8, 9)] == [0.1, 2 / 11, 0.5, 0.5]
    with pytest.raises(ValueError, match="`decay` must be in \\[0, 1\\), got 1"):
        WeightAverage(model_of(0.0), 1.0)


def test_checkpoint_holds_both(tmp_path):
    """The file's "model" is the mean, for whoever loads it; a resumed run gets both back."""
    model = model_of(8.0)
    average = WeightAverage(model)
    set_to(model, 2.0)
    average.after_step()  # 0.1 x 8 + 0.9 x 2
    saved = FCOSCheckpointer(model, str(tmp_path), averaged_model=average.model)
    saved.save("model_0000001", iteration=1)

    plain = model_of(0.0)
    FCOSCheckpointer(plain).load(str(tmp_path / "model_0000001.pth"))
    assert plain[0].weight.item() == pytest.approx(2.6)

    resumed = model_of(0.0)
    mean = WeightAverage(resumed)
    checkpointer = FCOSCheckpointer(resumed, str(tmp_path), averaged_model=mean.model)
    assert checkpointer.resume_or_load("")["iteration"] == 1
    assert (resumed[0].weight.item(), mean.model[0].weight.item()) == pytest.approx((2.0, 2.6))

    # Resumed without the mean, the run goes on with the weights that were in training.
    alone = model_of(0.0)
    FCOSCheckpointer(alone, str(tmp_path)).resume_or_load("")
    assert alone[0].weight.item() == 2.0

    # Started from the file, but not resumed: from the mean, which becomes the first mean.
    fresh = model_of(0.0)
    mean = WeightAverage(fresh)
    checkpointer = FCOSCheckpointer(fresh, str(tmp_path / "new"), averaged_model=mean.model)
    checkpointer.resume_or_load(str(tmp_path / "model_0000001.pth"))
    assert fresh[0].weight.item() == mean.model[0].weight.item() == pytest.approx(2.6)
