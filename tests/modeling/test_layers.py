"""Layers of the head that detectron2 does not have."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fcos_d2.modeling.layers import (
    DeformConv,
    ModulatedDeformConv,
    PerLevelNorm,
    Scale,
    at_least_float32,
)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_at_least_float32(dtype, expected):
    x = torch.tensor([1.5], dtype=dtype)
    assert at_least_float32(x).dtype == expected
    assert at_least_float32(x).item() == 1.5


def test_scale_multiplies():
    scale = Scale(3.0)
    assert scale(torch.tensor([2.0, -1.0])).tolist() == [6, -3]
    assert [(name, tuple(x.shape)) for name, x in scale.state_dict().items()] == [("scale", (1,))]
    assert Scale().scale.item() == 1


def test_a_level_uses_its_own_norm():
    # In inference a norm with running mean m and variance 1 gives x - m.
    norms = PerLevelNorm(nn.BatchNorm2d(2, eps=1e-12) for _ in range(3)).eval()
    for level, norm in enumerate(norms):
        norm.running_mean.fill_(10.0 * level)
    x = torch.full((1, 2, 2, 2), 7.0)
    assert [norms(x, level).unique().tolist() for level in (2, 0, 1, 2)] == [
        [-13],
        [7],
        [-3],
        [-13],
    ]


def test_a_level_updates_its_own_statistics():
    norms = PerLevelNorm(nn.BatchNorm2d(2) for _ in range(3)).train()
    norms(torch.randn(4, 2, 5, 5) + 3, 1)
    assert [norm.num_batches_tracked.item() for norm in norms] == [0, 1, 0]
    assert [bool((norm.running_mean != 0).all()) for norm in norms] == [False, True, False]
    with pytest.raises(IndexError):
        norms(torch.randn(4, 2, 5, 5), 3)
    norms(torch.randn(4, 2, 5, 5), 0)
    assert [norm.num_batches_tracked.item() for norm in norms] == [1, 1, 0]


# --- deformable convolution -------------------------------------------------------------------


def test_without_shift_and_half_open_it_is_half_a_convolution():
    # Offset 0 samples the usual taps; mask logit 0 weighs each by sigmoid(0) = 1/2. The bias is
    # not weighed.
    layer = DeformConv(4, 6)
    nn.init.zeros_(layer.offset.weight)
    nn.init.zeros_(layer.offset.bias)
    nn.init.normal_(layer.conv.bias)
    x = torch.randn(2, 4, 7, 5)
    expected = F.conv2d(x, layer.conv.weight, padding=1) / 2 + layer.conv.bias[:, None, None]
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_an_offset_names_y_before_x():
    # All taps one cell down and two to the right: a convolution of the shifted input, away from
    # the border.
    layer = ModulatedDeformConv(4, 6)
    x = torch.randn(1, 4, 9, 9)
    offset = torch.tensor([1.0, 2.0]).repeat(9)[None, :, None, None].expand(1, 18, 9, 9)
    actual = layer(x, offset, torch.ones(1, 9, 9, 9))
    shifted = torch.roll(x, shifts=(-1, -2), dims=(2, 3))
    expected = F.conv2d(shifted, layer.weight, padding=1)
    inner = (..., slice(1, -2), slice(1, -3))
    torch.testing.assert_close(actual[inner], expected[inner], rtol=1e-4, atol=1e-5)


def test_the_last_third_of_the_prediction_is_the_mask():
    # Mask logit -100 closes every tap, whatever the offsets: only the bias is left.
    layer = DeformConv(4, 6)
    nn.init.constant_(layer.offset.bias[18:], -100.0)
    nn.init.constant_(layer.conv.bias, 0.25)
    torch.testing.assert_close(layer(torch.randn(1, 4, 6, 6)), torch.full((1, 6, 6, 6), 0.25))


def test_deformable_convolution_has_the_keys_of_detectron2():
    shapes = {key: tuple(x.shape) for key, x in DeformConv(4, 6).state_dict().items()}
    assert shapes == {
        "offset.weight": (27, 4, 3, 3),
        "offset.bias": (27,),
        "conv.weight": (6, 4, 3, 3),
        "conv.bias": (6,),
    }


def test_initial_weights_of_the_deformable_kernel():
    # Kaiming for ReLU: uniform with standard deviation sqrt(2 / (64 * 9)) = 0.0589.
    layer = ModulatedDeformConv(64, 64)
    assert layer.weight.std().item() == pytest.approx(0.0589, rel=0.02)
    assert layer.bias.tolist() == [0] * 64


def test_gradients_reach_offsets_kernel_and_input():
    layer = DeformConv(4, 6)
    x = torch.randn(1, 4, 6, 6, requires_grad=True)
    layer(x).square().sum().backward()
    for gradient in (x.grad, *(parameter.grad for parameter in layer.parameters())):
        assert gradient.isfinite().all()
        assert (gradient != 0).any()


def test_deformable_convolution_under_autocast():
    layer, x = DeformConv(8, 8), torch.randn(1, 8, 5, 5)
    expected = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(layer(x).float(), expected, rtol=0.05, atol=0.05)
