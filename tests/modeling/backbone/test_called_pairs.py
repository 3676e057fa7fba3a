"""Norms that alone get what a convolution gives, found by running the model."""

import pytest
import torch
from random_norms import randomise_norms
from torch import nn

from fcos_d2.modeling import TimmBackbone
from fcos_d2.modeling.backbone.called_pairs import called_pairs
from fcos_d2.modeling.folding import fold_batch_norms


class Block(nn.Module):
    """Two convolutions and two norms, registered in another order than they are called in."""

    def __init__(self):
        super().__init__()
        self.last_norm = nn.BatchNorm2d(3)
        self.first = nn.Conv2d(3, 3, 1)
        self.first_norm = nn.BatchNorm2d(3)
        self.last = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.last_norm(self.last(self.first_norm(self.first(x)).relu()))


FIRST, LAST = ("first", "first_norm"), ("last", "last_norm")


class Residual(Block):
    def forward(self, x):
        y = self.first(x)
        return self.last_norm(self.last(self.first_norm(y) + y))


class Returned(Block):
    def forward(self, x):
        y = self.first(x)
        return [y, self.last_norm(self.last(self.first_norm(y)))]


class Twice(Block):
    def forward(self, x):
        x = self.first_norm(self.first(x))
        return self.last_norm(self.last(self.first_norm(self.first(x))))


class Shared(Block):
    """One result for two norms."""

    def forward(self, x):
        y = self.first(x)
        return self.first_norm(y) + self.last_norm(y)


class Between(Block):
    def forward(self, x):
        return self.last_norm(self.last(self.first_norm(self.first(x).relu_())))


class Unused(Block):
    def forward(self, x):
        return self.first_norm(self.first(x))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Block, [FIRST, LAST]),
        (Residual, [LAST]),
        (Returned, [LAST]),
        (Twice, [LAST]),
        (Shared, []),
        (Between, [LAST]),
        (Unused, [FIRST]),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_pairs(kind, expected, device):
    model = kind().to(device)
    model.first.eval()
    x = torch.zeros(1, 3, 8, 8, device=device)
    before = model.first_norm.running_mean.clone()
    assert called_pairs(model, lambda: model(x)) == expected
    assert model.training and not model.first.training  # each as it was
    assert not model.first_norm._forward_hooks and not model.first_norm._forward_pre_hooks
    if device == "cpu":
        torch.testing.assert_close(model.first_norm.running_mean, before, rtol=0, atol=0)


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "tf_efficientnet_lite0",
        "efficientnet_b0",
        "mobilenetv3_small_050",
        "regnety_002",
        "ghostnet_050",
        "ese_vovnet19b_slim",
    ],
)
def test_all_norms_of_a_body_of_timm_are_folded(name):
    """And it gives the same, whatever its norms do beside."""
    pytest.importorskip("timm")
    torch.manual_seed(0)
    body = randomise_norms(TimmBackbone(name=name, out_features=["res3", "res4", "res5"]))
    folded = fold_batch_norms(body)
    norms = [sum(hasattr(x, "running_mean") for x in one.modules()) for one in (body, folded)]
    assert norms[0] > 10 and norms[1] == 0
    x = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        expected, actual = body(x), folded(x)
    for key, feature in expected.items():
        bound = 1e-5 * feature.abs().max().item()
        torch.testing.assert_close(actual[key], feature, rtol=0, atol=bound)


def test_a_body_of_one_image_size_keeps_its_norms():
    pytest.importorskip("timm")
    body = TimmBackbone(name="levit_128s", out_features=["res4", "res5"])
    assert body.conv_norm_pairs == []
