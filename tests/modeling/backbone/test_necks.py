"""PAFPN and BiFPN against the same steps written out."""

import pytest
import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import FPN, Backbone
from torch import Tensor, nn

from fcos_d2.modeling import PAFPN, BiFPN, TopLevels
from fcos_d2.modeling.backbone.bifpn import BiFPNLayer, WeightedFusion

CHANNELS = {"res3": 4, "res4": 6, "res5": 8}
IN_FEATURES = [*CHANNELS]


class Body(Backbone):
    """Gives features of the right sizes, different in every cell."""

    def output_shape(self) -> dict[str, ShapeSpec]:
        return {
            name: ShapeSpec(channels=channels, stride=2 ** int(name[3:]))
            for name, channels in CHANNELS.items()
        }

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(0)
        return {
            name: torch.randn(
                len(x),
                shape.channels,
                *(side // shape.stride for side in x.shape[2:]),
                generator=generator,
            )
            for name, shape in self.output_shape().items()
        }


IMAGES = torch.zeros(2, 3, 96, 160)
SIZES = {"p3": (12, 20), "p4": (6, 10), "p5": (3, 5), "p6": (2, 3), "p7": (1, 2)}


@pytest.mark.parametrize("start", ["p5", "res5"])
@pytest.mark.parametrize("neck_class", [PAFPN, BiFPN])
def test_levels_have_the_sizes_of_their_strides(neck_class, start):
    in_channels = 16 if start == "p5" else CHANNELS["res5"]
    neck = neck_class(Body(), IN_FEATURES, 16, top_block=TopLevels(in_channels, 16, 2, start))
    features = neck(IMAGES)
    assert {name: tuple(x.shape) for name, x in features.items()} == {
        name: (2, 16, *size) for name, size in SIZES.items()
    }
    shapes = neck.output_shape()
    assert {name: shapes[name].stride for name in SIZES} == dict(
        zip(SIZES, (8, 16, 32, 64, 128), strict=True)
    )
    assert neck.size_divisibility == 32


@pytest.mark.parametrize("neck_class", [PAFPN, BiFPN])
def test_every_parameter_learns(neck_class):
    neck = neck_class(Body(), IN_FEATURES, 16, top_block=TopLevels(16, 16, 2, "p5"))
    sum(x.square().sum() for x in neck(IMAGES).values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in neck.parameters())


@pytest.mark.parametrize("fuse_type", ["sum", "avg"])
def test_pafpn_step_by_step(fuse_type):
    torch.manual_seed(1)
    neck = PAFPN(Body(), IN_FEATURES, 16, top_block=TopLevels(16, 16, 1, "p5"), fuse_type=fuse_type)
    fpn = FPN(Body(), IN_FEATURES, 16, fuse_type=fuse_type)
    shared = {key: value for key, value in neck.state_dict().items() if key.startswith("fpn_")}
    fpn.load_state_dict(shared)
    p3, p4, p5 = fpn(IMAGES).values()

    def conv(layer: nn.Conv2d, x: Tensor, stride: int) -> Tensor:
        return F.relu(F.conv2d(x, layer.weight, layer.bias, stride=stride, padding=1))

    def fuse(a: Tensor, b: Tensor) -> Tensor:
        return a + b if fuse_type == "sum" else (a + b) / 2

    n4 = conv(neck.path_outputs[0], fuse(p4, conv(neck.downsampling[0], p3, 2)), 1)
    n5 = conv(neck.path_outputs[1], fuse(p5, conv(neck.downsampling[1], n4, 2)), 1)
    n6 = neck.top_block.p6(n5)
    features = neck(IMAGES)
    for name, expected in zip(("p3", "p4", "p5", "p6"), (p3, n4, n5, n6), strict=True):
        torch.testing.assert_close(features[name], expected)


def identity_fusion(num_inputs: int) -> WeightedFusion:
    """A fusion of one channel whose convolutions pass on what they get."""
    fusion = WeightedFusion(num_inputs, 1, norm="")
    nn.init.dirac_(fusion.depthwise.weight)
    nn.init.ones_(fusion.pointwise.weight)
    nn.init.zeros_(fusion.pointwise.bias)
    return fusion


def test_weighted_fusion_on_paper():
    # Weights 1, 3 and relu(-2) = 0: (1 * 2 + 3 * 6 + 0 * 50) / (4 + 0.0001) = 4.9999 (rounded);
    # silu(4.9999) = 4.9999 / (1 + exp(-4.9999)) = 4.9664 (rounded).
    fusion = identity_fusion(3)
    fusion.weights.data = torch.tensor([1.0, 3.0, -2.0])
    features = [torch.full((1, 1, 1, 1), value) for value in (2.0, 6.0, 50.0)]
    assert fusion(*features).item() == pytest.approx(4.9664, abs=1e-4)


def test_bifpn_layer_step_by_step():
    torch.manual_seed(2)
    layer = BiFPNLayer(num_levels=4, channels=8, norm="")
    for fusion in (*layer.down, *layer.up):
        nn.init.uniform_(fusion.weights)
    c3, c4, c5, c6 = levels = [torch.randn(2, 8, *SIZES[f"p{i}"]) for i in (3, 4, 5, 6)]

    def up(x: Tensor, like: Tensor) -> Tensor:
        rows = torch.tensor([i * x.shape[2] // like.shape[2] for i in range(like.shape[2])])
        columns = torch.tensor([i * x.shape[3] // like.shape[3] for i in range(like.shape[3])])
        return x[:, :, rows][:, :, :, columns]

    def down(x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, stride=2, padding=1)

    m5 = layer.down[2](c5, up(c6, c5))
    m4 = layer.down[1](c4, up(m5, c4))
    o3 = layer.down[0](c3, up(m4, c3))
    o4 = layer.up[0](c4, m4, down(o3))
    o5 = layer.up[1](c5, m5, down(o4))
    o6 = layer.up[2](c6, down(o5))
    for actual, expected in zip(layer(levels), (o3, o4, o5, o6), strict=True):
        torch.testing.assert_close(actual, expected)


def test_bifpn_repeats_its_layers():
    torch.manual_seed(3)
    neck = BiFPN(Body(), IN_FEATURES, 8, norm="", top_block=TopLevels(8, 8, 1, "p5"), num_repeats=2)
    body = Body()(IMAGES)
    levels = [getattr(neck, f"fpn_lateral{i}")(body[f"res{i}"]) for i in (3, 4, 5)]
    levels.append(neck.top_block.p6(levels[-1]))
    for layer in neck.layers:
        levels = layer(levels)
    assert len(neck.layers) == 2
    for actual, expected in zip(neck(IMAGES).values(), levels, strict=True):
        torch.testing.assert_close(actual, expected)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="must double, they are .8, 32."):
        BiFPN(Body(), ["res3", "res5"], 8)
    with pytest.raises(ValueError, match="needs 2 levels and 1 layer, got 1 and 3"):
        BiFPN(Body(), ["res5"], 8)
    with pytest.raises(ValueError, match="fuse_type must be .*got 'max'"):
        PAFPN(Body(), IN_FEATURES, 8, fuse_type="max")
