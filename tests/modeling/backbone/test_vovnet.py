"""VoVNets against timm's; the parameter names are checked in test_golden.py."""

import re

import pytest
import torch
from random_norms import randomise_norms

from fcos_d2.modeling import VoVNet

STAGES = ["stage2", "stage3", "stage4", "stage5"]


def timm_state(peer_state: dict, prefix_of_stage: str = "stages") -> dict:
    """timm's state dict under our names."""
    renamed = {}
    for key, value in peer_state.items():
        if match := re.fullmatch(r"stem\.(\d)\.(conv|bn)\.(\w+)", key):
            layer, kind, name = match.groups()
            renamed[f"stem.stem_{int(layer) + 1}/{'norm' if kind == 'bn' else kind}.{name}"] = value
        elif match := re.fullmatch(r"stages\.(\d)\.blocks\.(\d+)\.(.+)", key):
            stage, block = int(match[1]) + 2, f"OSA{int(match[1]) + 2}_{int(match[2]) + 1}"
            rest = match[3].replace("attn.fc", "ese.fc")
            rest = re.sub(r"conv_mid\.(\d)\.", rf"layers.\1.{block}_\1/", rest)
            rest = rest.replace("conv_concat.", f"concat.{block}_concat/").replace("/bn.", "/norm.")
            renamed[f"stage{stage}.{block}.{rest}"] = value
    return renamed


@pytest.mark.parametrize(
    ("body", "timm_name"),
    [
        ("V-19-slim-eSE", "ese_vovnet19b_slim"),
        ("V-39-eSE", "ese_vovnet39b"),
        ("V-57-eSE", "ese_vovnet57b"),
    ],
)
def test_same_features_as_timm(body, timm_name):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    peer = randomise_norms(timm.create_model(timm_name, pretrained=False))
    vovnet = VoVNet(conv_body=body, out_features=STAGES, norm="BN").eval()
    missing, unexpected = vovnet.load_state_dict(timm_state(peer.state_dict()), strict=False)
    assert not unexpected
    # timm has the attention in the last block of a stage only; a bias of 3 makes ours give 1.
    assert all(".ese.fc." in key for key in missing)
    for key in missing:
        parameter = vovnet.get_parameter(key)
        torch.nn.init.constant_(parameter, 3.0 if key.endswith("bias") else 0.0)
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = peer.forward_features(x)
        torch.testing.assert_close(vovnet(x)["stage5"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("body", ["V-19-slim-eSE", "V-19-eSE", "V-99-eSE"])
def test_strides_and_channels(body):
    with torch.device("meta"):
        vovnet = VoVNet(conv_body=body, out_features=["stem", *STAGES])
        features = vovnet(torch.empty(1, 3, 96, 160))
    for name, shape in vovnet.output_shape().items():
        size = (1, shape.channels, 96 // shape.stride, 160 // shape.stride)
        assert features[name].shape == size
    assert [vovnet.output_shape()[x].stride for x in STAGES] == [4, 8, 16, 32]


def test_frozen_part():
    vovnet = VoVNet(conv_body="V-19-slim-eSE", out_features=STAGES, norm="BN", freeze_at=2)
    frozen = {name.split(".")[0] for name, p in vovnet.named_parameters() if not p.requires_grad}
    assert frozen == {"stem", "stage2"}
    assert not any(p.requires_grad for p in vovnet.stage2.parameters())
    vovnet = VoVNet(conv_body="V-19-slim-eSE", out_features=STAGES, norm="BN", freeze_at=0)
    assert all(p.requires_grad for p in vovnet.parameters())


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"V-39-eSE gives .*asks for \['res3'\]"):
        VoVNet(out_features=["res3"])
    with pytest.raises(ValueError, match="conv_body must be one of .*got 'V-40'"):
        VoVNet(conv_body="V-40", out_features=STAGES)
