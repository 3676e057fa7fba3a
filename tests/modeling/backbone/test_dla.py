"""DLA-34 against timm's, which others trained on ImageNet with; golden data: test_golden.py."""

import pytest
import torch
from random_norms import randomise_norms

from fcos_d2.modeling import DLA

FEATURES = ["level2", "level3", "level4", "level5"]


@pytest.mark.parametrize("norm", ["FrozenBN", "BN", "SyncBN", "GN"])
def test_strides_and_channels(norm):
    dla = DLA(out_features=FEATURES, norm=norm).eval()
    features = dla(torch.randn(1, 3, 64, 96))
    assert {name: tuple(x.shape) for name, x in features.items()} == {
        "level2": (1, 64, 16, 24),
        "level3": (1, 128, 8, 12),
        "level4": (1, 256, 4, 6),
        "level5": (1, 512, 2, 3),
    }
    shapes = dla.output_shape()
    assert [(shapes[x].channels, shapes[x].stride) for x in FEATURES] == [
        (64, 4),
        (128, 8),
        (256, 16),
        (512, 32),
    ]
    assert dla.size_divisibility == 32


def test_same_features_as_timm():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    peer = randomise_norms(timm.create_model("dla34", pretrained=False))
    dla = DLA(out_features=["level5", "level3"], norm="BN").eval()
    missing, unexpected = dla.load_state_dict(peer.state_dict(), strict=False)
    assert unexpected == ["fc.weight", "fc.bias"]
    # The layers without effect; timm left them out.
    assert {key.rpartition(".project.")[0] for key in missing} == {"level3", "level4"}
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        features = dla(x)
        torch.testing.assert_close(
            features["level5"], peer.forward_features(x), rtol=1e-5, atol=1e-5
        )
        extractor = timm.create_model("dla34", pretrained=False, features_only=True).eval()
        extractor.load_state_dict(peer.state_dict(), strict=False)
        torch.testing.assert_close(features["level3"], extractor(x)[2], rtol=1e-5, atol=1e-5)


def test_the_layers_without_effect_do_not_learn():
    dla = DLA(out_features=FEATURES, norm="BN").train()
    sum(x.sum() for x in dla(torch.randn(2, 3, 64, 64)).values()).backward()
    idle = {name for name, p in dla.named_parameters() if p.grad is None}
    layers = ("0.weight", "1.weight", "1.bias")
    assert idle == {f"level{i}.project.{layer}" for i in (3, 4) for layer in layers}


def test_nothing_beyond_the_features_is_built():
    """Parameters without a gradient stop training in several processes."""
    dla = DLA(out_features=["level3"], norm="BN").train()
    dla(torch.randn(2, 3, 64, 64))["level3"].sum().backward()
    idle = {name for name, p in dla.named_parameters() if p.requires_grad and p.grad is None}
    assert not idle
    assert not any(key.startswith("level4") for key in dla.state_dict())
    assert dla.size_divisibility == 8


def test_frozen_part():
    dla = DLA(out_features=FEATURES, norm="BN", freeze_at=2).train()
    before = {key: value.clone() for key, value in dla.state_dict().items()}
    frozen = {name for name, p in dla.named_parameters() if not p.requires_grad}
    assert {name.split(".")[0] for name in frozen} == {
        "base_layer",
        "level0",
        "level1",
        "level2",
        "level3",
        "level4",
    }
    assert all(".project." in x for x in frozen if x.startswith(("level3.", "level4.")))
    dla(torch.randn(2, 3, 64, 64))
    changed = {key for key, value in dla.state_dict().items() if not value.equal(before[key])}
    assert {key.split(".")[0] for key in changed} == {"level3", "level4", "level5"}


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"DLA34 gives .*asks for \['res3'\]"):
        DLA(out_features=["res3"])
    with pytest.raises(ValueError, match="norm must be one of .*got 'LN'"):
        DLA(out_features=FEATURES, norm="LN")
    with pytest.raises(ValueError, match="conv_body must be one of .*got 'DLA60'"):
        DLA(conv_body="DLA60", out_features=FEATURES)
