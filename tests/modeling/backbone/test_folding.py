"""Folded batch norms: the same outputs from fewer modules."""

import pytest
import torch
from detectron2.config import instantiate
from detectron2.layers import Conv2d, FrozenBatchNorm2d, NaiveSyncBatchNorm
from detectron2.modeling import build_model
from random_norms import randomise_norms
from torch import Tensor, nn

from fcos_d2 import model_zoo
from fcos_d2.modeling.folding import fold_batch_norms
from fcos_d2.modeling.head import HeadOutputs
from fcos_d2.modeling.layers import ModulatedDeformConv

NORMS = (nn.modules.batchnorm._BatchNorm, FrozenBatchNorm2d)


def norms_of(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, NORMS)]


def draw(model: nn.Module) -> nn.Module:
    """`model` for inference, with norms that do something."""
    torch.manual_seed(0)
    return randomise_norms(model)


def test_on_paper():
    # y = 2x + 1 by the convolution, then (y - 3) / sqrt(3.75 + 0.25) * 4 + 5 = 4x + 1.
    norm = nn.BatchNorm2d(1, eps=0.25)
    conv = nn.Conv2d(1, 1, 1)
    for tensor, value in (
        (conv.weight, 2),
        (conv.bias, 1),
        (norm.running_mean, 3),
        (norm.running_var, 3.75),
        (norm.weight, 4),
        (norm.bias, 5),
    ):
        nn.init.constant_(tensor, value)
    folded = fold_batch_norms(nn.Sequential(conv, norm))
    assert (folded[0].weight.item(), folded[0].bias.item()) == (4, 1)
    assert norms_of(folded) == []
    assert (conv.weight.item(), norm.training) == (2, True)  # the model itself stays as it was


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d, nn.SyncBatchNorm, NaiveSyncBatchNorm, FrozenBatchNorm2d]
)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 4])
def test_every_kind_of_norm(norm, bias, groups):
    conv = nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=groups, bias=bias)
    own = Conv2d(12, 6, 3, bias=bias, norm=norm(6), activation=torch.relu)
    model = draw(nn.Sequential(conv, norm(12), nn.ReLU(), own))
    folded = fold_batch_norms(model)
    x = torch.randn(2, 8, 9, 11)
    torch.testing.assert_close(folded(x), model(x), atol=1e-5, rtol=1e-5)
    assert norms_of(folded) == []
    assert not any(x.requires_grad for x in folded.parameters())
    assert folded[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_deformable_convolution():
    model = draw(ModulatedDeformConv(4, 6, norm=nn.BatchNorm2d(6)))
    folded = fold_batch_norms(model)
    inputs = torch.randn(1, 4, 7, 7), torch.randn(1, 18, 7, 7), torch.rand(1, 9, 7, 7)
    torch.testing.assert_close(folded(*inputs), model(*inputs), atol=1e-5, rtol=1e-5)
    assert folded.norm is None


class Activated(nn.BatchNorm2d):
    """As timm's BatchNormAct2d."""

    def forward(self, x):
        return super().forward(x).relu()


def shared_convolution() -> nn.Module:
    conv = nn.Conv2d(4, 4, 1)
    return nn.Sequential(conv, nn.BatchNorm2d(4), conv, nn.BatchNorm2d(4))


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(4, 4, 1), nn.GroupNorm(2, 4)),
        nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)),
        nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)),
        nn.Sequential(nn.Conv2d(4, 4, 1), Activated(4)),
        nn.Sequential(Conv2d(4, 4, 1, activation=torch.relu), nn.BatchNorm2d(4)),
        shared_convolution(),
    ],
    ids=[
        "group norm",
        "ReLU between",
        "norm first",
        "activating norm",
        "activating conv",
        "shared",
    ],
)
def test_what_must_stay(model):
    model = draw(model)
    folded = fold_batch_norms(model)
    x = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(folded(x), model(x), atol=1e-5, rtol=1e-5)
    assert norms_of(folded) == norms_of(model)
    assert [*folded.state_dict()] == [*model.state_dict()]


CONFIGS = (
    "FCOS/R50-1x",
    "FCOS/R50-BiFPN-1x",
    "FCOS/R50-PAFPN-1x",
    "FCOS/MobileNetV2-1x",
    "FCOS/V39-MS-3x",
    "FCOS-RT/R50-BN-Head",
    "FCOS-RT/DLA34",
    "FCOS-RT/DLA34-SharedTowers-BN-Head",
    "Recipes/R50-Modern",
    "lazy/FCOS-RT/DLA34",
)
DEFORMABLE = ["MODEL.RESNETS.DEFORM_ON_PER_STAGE", "(False, True, True, True)"]


@pytest.mark.parametrize(
    ("name", "opts"), [*((name, []) for name in CONFIGS), ("FCOS/R50-1x", DEFORMABLE)]
)
def test_the_models_of_the_configs(name, opts):
    """Outputs of the head within 1e-4; only the norms per level of BN heads are left."""
    cfg = model_zoo.get_config(name, opts)
    if name.startswith("lazy"):
        model = draw(instantiate(cfg.model))
    else:
        cfg.MODEL.DEVICE = "cpu"
        model = draw(build_model(cfg))
    folded = fold_batch_norms(model)
    assert len(norms_of(model)) > 0
    assert all("_tower." in x for x in norms_of(folded))
    assert bool(norms_of(folded)) == ("BN-Head" in name)
    images = torch.rand(1, 3, 64, 96)
    expected, actual = head_outputs(model, images), head_outputs(folded, images)
    for fields in zip(actual, expected, strict=True):
        torch.testing.assert_close(*fields, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def head_outputs(model: nn.Module, images: Tensor) -> HeadOutputs:
    generator = model.proposal_generator
    features = model.backbone(images)
    return generator.fcos_head([features[name] for name in generator.in_features])
