"""MobileNetV2 against torchvision's."""

import pytest
import torch
import torchvision
from random_norms import randomise_norms

from fcos_d2.checkpoint.sources import recognise
from fcos_d2.modeling import MobileNetV2

FEATURES = ["res2", "res3", "res4", "res5"]


def test_same_features_as_torchvision():
    torch.manual_seed(0)
    peer = randomise_norms(torchvision.models.mobilenet_v2(weights=None))
    net = MobileNetV2(out_features=["res1", *FEATURES], norm="BN").eval()
    source = recognise(peer.state_dict())
    assert source.name == "MobileNetV2"
    net.load_state_dict(source.convert(peer.state_dict(), net.state_dict()))
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        features = net(x)
        for i, block in enumerate(peer.features[:18]):
            x = block(x)
            if i in (1, 3, 6, 13, 17):
                name = ["res1", *FEATURES][(1, 3, 6, 13, 17).index(i)]
                torch.testing.assert_close(features[name], x, rtol=1e-5, atol=1e-5)
                shape = net.output_shape()[name]
                assert x.shape == (2, shape.channels, 64 // shape.stride, 96 // shape.stride)


def test_frozen_part():
    net = MobileNetV2(out_features=FEATURES, norm="BN", freeze_at=2)
    frozen = {int(name.split(".")[1]) for name, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {0, 1, 2, 3}
    assert not any(isinstance(x, torch.nn.BatchNorm2d) for x in net.features[:4].modules())


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"MobileNetV2 gives .*asks for \['res6'\]"):
        MobileNetV2(out_features=["res6"])
