"""ResNets with deformable convolutions."""

import pytest
import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone.resnet import BottleneckBlock
from random_norms import randomise_norms
from torch import nn

from fcos_d2.config import get_cfg
from fcos_d2.modeling import MobileNetV2
from fcos_d2.modeling.backbone.resnet import (
    DeformBottleneckBlock,
    build_resnet,
    make_bottleneck_stages,
)


@pytest.mark.parametrize("stride_in_1x1", [True, False])
@pytest.mark.parametrize(("groups", "dilation", "stride"), [(1, 1, 1), (4, 1, 2), (1, 2, 1)])
@pytest.mark.parametrize("modulated", [True, False])
def test_without_offsets_it_is_the_ordinary_block(
    modulated, groups, dilation, stride, stride_in_1x1
):
    """Offsets start at 0 and the weights of the taps at sigmoid(0) = 0.5."""
    torch.manual_seed(0)
    options = {
        "bottleneck_channels": 16,
        "stride": stride,
        "num_groups": groups,
        "norm": "BN",
        "stride_in_1x1": stride_in_1x1,
        "dilation": dilation,
    }
    ordinary = randomise_norms(BottleneckBlock(8, 32, **options))
    deformable = DeformBottleneckBlock(8, 32, **options, deform_modulated=modulated).eval()
    missing, unexpected = deformable.load_state_dict(ordinary.state_dict(), strict=False)
    assert missing == ["conv2_offset.weight", "conv2_offset.bias"] and not unexpected
    if modulated:
        deformable.conv2.weight.data *= 2
    x = torch.randn(2, 8, 12, 18)
    torch.testing.assert_close(deformable(x), ordinary(x), rtol=1e-4, atol=1e-5)


def test_a_constant_offset_shifts_the_picture():
    """An offset of one row down and two columns right for every tap, away from the borders."""
    block = DeformBottleneckBlock(8, 8, bottleneck_channels=8, deform_modulated=True).eval()
    y_and_x = torch.tensor([1.0, 2.0]).repeat(9)
    block.conv2_offset.bias.data[:18] = y_and_x
    x = torch.randn(1, 8, 16, 16)
    shifted = F.pad(x, (0, 2, 0, 1))[:, :, 1:, 2:]
    inner = block.conv1(x).relu()
    inner_shifted = block.conv1(shifted).relu()
    prediction = block.conv2_offset(inner)
    mask = torch.full_like(prediction[:, 18:], 0.5)
    moved = block.conv2(inner, prediction[:, :18], mask)
    still = block.conv2(inner_shifted, torch.zeros_like(prediction[:, :18]), mask)
    torch.testing.assert_close(moved[..., 2:-4, 2:-4], still[..., 2:-4, 2:-4])


def test_two_groups_of_offsets():
    """Each half of the channels is sampled by its own offsets."""
    options = {"bottleneck_channels": 8, "deform_num_groups": 2, "deform_modulated": True}
    block = DeformBottleneckBlock(8, 8, **options).eval()
    assert block.conv2_offset.out_channels == 2 * 27
    x = torch.randn(1, 8, 10, 10)
    offset, mask = torch.zeros(1, 36, 10, 10), torch.ones(1, 18, 10, 10)
    offset[:, 18:] = 100.0  # the second half looks outside, where everything is 0
    seen = torch.cat((x[:, :4], torch.zeros_like(x[:, 4:])), dim=1)
    torch.testing.assert_close(
        block.conv2(x, offset, mask), block.conv2(seen, torch.zeros_like(offset), mask)
    )


def test_all_parameters_learn():
    block = DeformBottleneckBlock(8, 16, bottleneck_channels=8, deform_modulated=True)
    nn.init.normal_(block.conv2_offset.weight, std=0.1)
    block(torch.randn(2, 8, 9, 9)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())


def test_half_precision_inside_autocast():
    block = DeformBottleneckBlock(8, 16, bottleneck_channels=8, deform_modulated=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert block(torch.randn(1, 8, 8, 8)).isfinite().all()


def deformable_cfg():
    cfg = get_cfg()
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res3", "res4", "res5"]
    cfg.MODEL.RESNETS.DEFORM_ON_PER_STAGE = [False, False, True, True]
    cfg.MODEL.RESNETS.DEFORM_MODULATED = True
    return cfg


def test_stages_of_a_config():
    cfg = deformable_cfg()
    with torch.device("meta"):
        body = build_resnet(cfg, ShapeSpec(channels=3))
    kinds = [{type(block) for block in getattr(body, f"res{i}")} for i in (2, 3, 4, 5)]
    assert kinds == [{BottleneckBlock}] * 2 + [{DeformBottleneckBlock}] * 2
    assert not any(p.requires_grad for p in body.res2.parameters()), "FREEZE_AT is 2"
    cfg.MODEL.RESNETS.DEFORM_ON_PER_STAGE = [False] * 4
    with torch.device("meta"):
        plain = build_resnet(cfg, ShapeSpec(channels=3))
    ordinary = {key: value.shape for key, value in plain.state_dict().items()}
    deformable = {key: value.shape for key, value in body.state_dict().items()}
    assert {k: v for k, v in deformable.items() if "conv2_offset" not in k} == ordinary


def test_the_stem_is_a_feature_too():
    cfg = deformable_cfg()
    cfg.MODEL.RESNETS.OUT_FEATURES = ["stem", "res4"]
    with torch.device("meta"):
        body = build_resnet(cfg, ShapeSpec(channels=3))
    assert {name: x.stride for name, x in body.output_shape().items()} == {"stem": 4, "res4": 16}
    assert not hasattr(body, "res5")


def test_dilated_res5_keeps_the_stride_of_res4():
    # torchvision's operator has no version for the meta device.
    stages = make_bottleneck_stages(
        depth=50, deform_on_per_stage=[False, False, False, True], res5_dilation=2
    )
    x = torch.randn(1, 64, 16, 16)
    for stage in stages:
        x = nn.Sequential(*stage)(x)
    assert x.shape == (1, 2048, 4, 4)


def test_adelaidets_switch_for_mobilenet():
    cfg = get_cfg()
    cfg.MODEL.MOBILENET = True
    assert isinstance(build_resnet(cfg, ShapeSpec(channels=3)), MobileNetV2)


def test_mistakes_are_named():
    cfg = deformable_cfg()
    cfg.MODEL.RESNETS.DEPTH = 18
    with pytest.raises(ValueError, match="depth must be one of .50, 101, 152. .*got 18"):
        build_resnet(cfg, ShapeSpec(channels=3))
    cfg.MODEL.RESNETS.DEFORM_INTERVAL = 3
    with pytest.raises(ValueError, match="DEFORM_INTERVAL must be 1, got 3"):
        build_resnet(cfg, ShapeSpec(channels=3))
    with pytest.raises(ValueError, match="needs 4 values"):
        make_bottleneck_stages(depth=50, deform_on_per_stage=[True])
    with pytest.raises(ValueError, match="res5_dilation must be 1 or 2, got 3"):
        make_bottleneck_stages(depth=50, res5_dilation=3)
    with pytest.raises(ValueError, match="must divide bottleneck_channels 8, got 3"):
        DeformBottleneckBlock(8, 16, bottleneck_channels=8, deform_num_groups=3)
    cfg = deformable_cfg()
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res4", "res6"]
    with pytest.raises(ValueError, match="gives the features .*'res5'.*asks for .*'res6'"):
        build_resnet(cfg, ShapeSpec(channels=3))
