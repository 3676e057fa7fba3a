"""Levels on top of P5 or C5."""

import pytest
import torch
import torch.nn.functional as F
from detectron2.modeling import BACKBONE_REGISTRY, build_backbone
from detectron2.modeling.backbone import FPN
from torch import nn

from fcos_d2.config import get_cfg
from fcos_d2.modeling.backbone import TopLevels


def test_top_levels_on_paper():
    # One channel, a 2x2 input of ones; kernels that add up what they see. With stride 2 and padding
    # 1 the only output cell sees all four inputs: 4 - 6 = -2. P7 sees relu(-2) = 0, plus its bias.
    top = TopLevels(1, 1, num_levels=2, in_feature="p5")
    for conv, bias in ((top.p6, -6.0), (top.p7, 0.5)):
        nn.init.ones_(conv.weight)
        nn.init.constant_(conv.bias, bias)
    p6, p7 = top(torch.ones(1, 1, 2, 2))
    assert (p6.tolist(), p7.tolist()) == ([[[[-2.0]]]], [[[[0.5]]]])


@pytest.mark.parametrize(
    ("size", "p6_size", "p7_size"), [((6, 8), (3, 4), (2, 2)), ((25, 42), (13, 21), (7, 11))]
)
def test_sizes_are_halved_and_rounded_up(size, p6_size, p7_size):
    p6, p7 = TopLevels(4, 8, num_levels=2, in_feature="p5")(torch.randn(2, 4, *size))
    assert (p6.shape, p7.shape) == ((2, 8, *p6_size), (2, 8, *p7_size))


def test_one_top_level():
    one, two = (TopLevels(4, 4, num_levels=n, in_feature="p5") for n in (1, 2))
    assert set(one.state_dict()) == {"p6.weight", "p6.bias"}
    assert set(two.state_dict()) == {"p6.weight", "p6.bias", "p7.weight", "p7.bias"}
    one.p6.load_state_dict(two.p6.state_dict())
    x = torch.randn(1, 4, 6, 6)
    (p6,) = one(x)
    torch.testing.assert_close(p6, two(x)[0])


@pytest.mark.parametrize("num_levels", [0, 3])
def test_number_of_top_levels(num_levels):
    with pytest.raises(ValueError, match=f"must be 1 or 2, got {num_levels}"):
        TopLevels(4, 4, num_levels=num_levels, in_feature="p5")


def build_small_fpn(top_levels: int) -> FPN:
    """The registered backbone as a ResNet-18 with 16 channels, with all of its parameters free."""
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_fcos_resnet_fpn_backbone"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    cfg.MODEL.RESNETS.DEPTH = 18
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res3", "res4", "res5"]
    cfg.MODEL.FPN.IN_FEATURES = ["res3", "res4", "res5"]
    cfg.MODEL.FPN.OUT_CHANNELS = 16
    cfg.MODEL.FCOS.TOP_LEVELS = top_levels
    return build_backbone(cfg)


@pytest.mark.parametrize("top_levels", [0, 1, 2])
def test_resnet_with_top_levels(top_levels):
    backbone = build_small_fpn(top_levels)
    names = ["p3", "p4", "p5", "p6", "p7"][: 3 + top_levels]
    assert "build_fcos_resnet_fpn_backbone" in BACKBONE_REGISTRY
    assert backbone.size_divisibility == 32
    shapes = backbone.output_shape()
    assert {name: shape.stride for name, shape in shapes.items()} == dict(
        zip(names, [8, 16, 32, 64, 128], strict=False)
    )
    assert {shape.channels for shape in shapes.values()} == {16}
    features = backbone(torch.randn(1, 3, 96, 160))
    sizes = [(12, 20), (6, 10), (3, 5), (2, 3), (1, 2)]
    assert {name: tuple(x.shape[-2:]) for name, x in features.items()} == dict(
        zip(names, sizes, strict=False)
    )


def test_p6_comes_from_p5_and_goes_out_before_the_relu():
    backbone = build_small_fpn(2)
    features = backbone(torch.randn(1, 3, 64, 96))
    top = backbone.top_block
    torch.testing.assert_close(features["p6"], top.p6(features["p5"]))
    torch.testing.assert_close(features["p7"], top.p7(F.relu(features["p6"])))
    assert (features["p6"] < 0).any()


def test_p6_from_c5():
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_fcos_resnet_fpn_backbone"
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res3", "res4", "res5"]
    cfg.MODEL.FPN.IN_FEATURES = ["res3", "res4", "res5"]
    cfg.MODEL.FPN.OUT_CHANNELS = 16
    cfg.MODEL.FCOS.TOP_LEVELS_FROM = "C5"
    with torch.device("meta"):
        backbone = build_backbone(cfg)
    assert backbone.top_block.p6.weight.shape == (16, 2048, 3, 3)
    assert backbone(torch.empty(1, 3, 64, 96, device="meta"))["p7"].shape == (1, 16, 1, 1)
    cfg.MODEL.FCOS.TOP_LEVELS_FROM = "C4"
    with pytest.raises(ValueError, match='TOP_LEVELS_FROM must be "P5" or "C5", got .C4.'):
        build_backbone(cfg)
