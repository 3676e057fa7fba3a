"""Frozen norms done by convolutions: the same losses and gradients, and the same keys."""

import copy

import pytest
import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from detectron2.modeling import build_model
from random_norms import randomise_norms
from torch import nn

from fcos_d2 import model_zoo
from fcos_d2.modeling.batch_norms import exchange_batch_norms
from fcos_d2.modeling.frozen_norms import absorb_frozen_norms


def frozen_on_paper() -> tuple[nn.Conv2d, FrozenBatchNorm2d]:
    """Together y = (2 x + 1 - 3) / sqrt(3.75 + 0.25) * 4 + 5 = 4 x + 1."""
    conv, norm = nn.Conv2d(1, 1, 1), FrozenBatchNorm2d(1, eps=0.25)
    for tensor, value in (
        (conv.weight, 2),
        (conv.bias, 1),
        (norm.running_mean, 3),
        (norm.running_var, 3.75),
        (norm.weight, 4),
        (norm.bias, 5),
    ):
        nn.init.constant_(tensor, value)
    return conv, norm


def test_on_paper():
    model = nn.Sequential(*frozen_on_paper())
    assert absorb_frozen_norms(model) == 1
    y = model(torch.full((1, 1, 1, 1), 3.0))
    assert y.item() == 13
    y.backward()
    # dy / dweight = x * 4 / 2, dy / dbias = 4 / 2.
    assert (model[0].weight.grad.item(), model[0].bias.grad.item()) == (6, 2)
    assert (model[0].weight.item(), model[0].bias.item()) == (2, 1)


def test_what_is_loaded_later_counts():
    model = nn.Sequential(*frozen_on_paper())
    state = {**model.state_dict(), "1.bias": torch.tensor([7.0])}
    absorb_frozen_norms(model)
    model.load_state_dict(state)
    assert model(torch.full((1, 1, 1, 1), 3.0)).item() == 15


def test_a_copy_has_norms_of_its_own():
    model = nn.Sequential(*frozen_on_paper())
    absorb_frozen_norms(model)
    other = copy.deepcopy(model)
    other[1].bias.fill_(0)
    x = torch.full((1, 1, 1, 1), 3.0)
    assert (model(x).item(), other(x).item()) == (13, 8)


def test_convolutions_that_call_the_norm_themselves():
    torch.manual_seed(0)
    conv = Conv2d(4, 6, 3, padding=1, stride=2, norm=FrozenBatchNorm2d(6), activation=torch.tanh)
    model = randomise_norms(nn.Sequential(conv)).train()
    changed = copy.deepcopy(model)
    assert absorb_frozen_norms(changed) == 1
    x = torch.randn(2, 4, 9, 7)
    torch.testing.assert_close(changed(x), model(x))


def test_only_frozen_norms():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1), nn.ReLU())
    assert absorb_frozen_norms(model) == 0


def test_a_norm_that_was_absorbed_is_not_exchanged_unnoticed():
    model = nn.Sequential(*frozen_on_paper())
    absorb_frozen_norms(model)
    with pytest.raises(ValueError, match="may do more than a batch norm"):
        exchange_batch_norms(model, "BN")


TIMM = ("MODEL.BACKBONE.NAME", "build_fcos_timm_fpn_backbone", "MODEL.TIMM.NORM", "FrozenBN")
DEFORMABLE = ("MODEL.RESNETS.DEFORM_ON_PER_STAGE", "(False, True, True, True)")


@pytest.mark.parametrize(
    ("config", "opts", "left"),
    [
        ("FCOS/R50-1x", (), 0),
        ("FCOS/R50-1x", DEFORMABLE, 13),  # the deformable convolutions of res3, res4 and res5
        ("FCOS/MobileNetV2-1x", ("MODEL.MOBILENETV2.NORM", "FrozenBN"), 0),
        ("FCOS-RT/DLA34", ("MODEL.DLA.NORM", "FrozenBN"), 0),
        ("FCOS/R50-1x", (*TIMM, "MODEL.TIMM.NAME", "tf_efficientnet_lite0"), 0),
        ("FCOS/R50-1x", (*TIMM, "MODEL.TIMM.NAME", "regnety_002"), 0),
    ],
)
def test_losses_and_gradients_stay(config, opts, left):
    if TIMM[0] in opts:
        pytest.importorskip("timm")
    torch.manual_seed(0)
    opts = ["MODEL.DEVICE", "cpu", "MODEL.BACKBONE.FREEZE_AT", 0, *opts]
    model = build_model(model_zoo.get_config(config, opts))
    model = randomise_norms(model).double().train()
    frozen = sum(isinstance(x, FrozenBatchNorm2d) for x in model.modules())
    changed = copy.deepcopy(model)
    assert absorb_frozen_norms(changed) == frozen - left > 0
    assert [*changed.state_dict()] == [*model.state_dict()]
    image = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    for one in (model, changed):
        sum(x.square().mean() for x in one.backbone(image).values()).backward()
    wanted = dict(model.backbone.named_parameters())
    for name, parameter in changed.backbone.named_parameters():
        expected = wanted[name].grad
        assert (parameter.grad is None) == (expected is None), name
        if expected is not None:
            bound = 1e-9 * expected.abs().max().item()
            torch.testing.assert_close(parameter.grad, expected, rtol=0, atol=bound)
