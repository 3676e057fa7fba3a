"""Batch norms that keep their statistics at the end: when, and what still learns."""

from types import SimpleNamespace

import norms_of_ranks
import pytest
import torch
import two_ranks
from torch import nn

from fcos_d2.engine import distributed
from fcos_d2.engine.budget import Budget, Decision
from fcos_d2.engine.fixed_statistics import FixedStatistics
from fcos_d2.modeling.batch_norms import activated


def trained(hook, model, iterations, before_step=lambda i: None):
    """Mean of the statistics after each iteration of images around 10."""
    means = []
    for i in range(iterations):
        hook.trainer = SimpleNamespace(iter=i)
        before_step(i)
        hook.before_step()
        model(10 + torch.randn(2, 1, 8, 8))
        means.append(model[0].running_mean.item())
    return means


def test_the_last_share():
    model = nn.Sequential(nn.BatchNorm2d(1), nn.GroupNorm(1, 1))
    means = trained(FixedStatistics(model, 0.4, 10), model, 10)
    # A tenth of what is missing to 10 each time: six steps make 10 (1 - 0.9^6).
    assert means[5] == pytest.approx(10 * (1 - 0.9**6), abs=0.5)
    assert len(set(means[5:])) == 1
    assert len(set(means[:6])) == 6
    assert model.training


def test_as_in_evaluation_with_gradients():
    """Of two images whose values are 1 and 3, the mean is 2, and the deviation 1."""
    norm = nn.BatchNorm2d(1, eps=1e-12)
    norm.running_mean.fill_(1.0)
    norm.running_var.fill_(4.0)
    hook = FixedStatistics(norm, 1.0, 10)
    hook.trainer = SimpleNamespace(iter=0)
    images = torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)
    assert norm(images).flatten().tolist() == pytest.approx([-1, 1])
    norm.running_mean.fill_(1.0)
    norm.running_var.fill_(4.0)
    hook.before_step()
    result = norm(images)
    assert result.flatten().tolist() == pytest.approx([0, 1])
    result.sum().backward()
    assert norm.weight.grad.tolist() == pytest.approx([1])
    assert norm.bias.grad.tolist() == [2]


def test_an_evaluation_in_between_changes_nothing():
    model = nn.Sequential(nn.BatchNorm2d(1))
    hook = FixedStatistics(model, 0.5, 4)
    means = trained(hook, model, 4, lambda i: model.train())
    assert means[1] == means[2] == means[3]


def test_a_dropout_in_a_norm_goes_on():
    norm = activated(nn.BatchNorm2d)(1)
    norm.drop, norm.act = nn.Dropout(0.5), nn.Identity()
    hook = FixedStatistics(norm, 1.0, 1)
    hook.trainer = SimpleNamespace(iter=0)
    hook.before_step()
    assert not norm.training
    assert norm.drop.training


def test_with_a_budget_the_progress_counts():
    model, budget = nn.Sequential(nn.BatchNorm2d(1)), Budget(100, 10)
    hook = FixedStatistics(model, 0.5, 10, budget)
    progresses = [0.0, 0.4, 0.6, 0.9]

    def go_to(i):
        budget.obey(Decision(progress=progresses[i]))

    means = trained(hook, model, 4, go_to)
    assert means[0] != means[1]
    assert means[1] == means[2] == means[3]


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_another_share(share):
    with pytest.raises(ValueError, match="`fixed_statistics_share` must be in"):
        FixedStatistics(nn.BatchNorm2d(1), share, 10)


def test_all_ranks_take_those_of_the_first(tmp_path, without_gpus):
    output = str(tmp_path / "means.pth")
    distributed.launch(norms_of_ranks.main, two_ranks.arguments(2, output, []))
    assert torch.load(output) == [1.0, 1.0]
