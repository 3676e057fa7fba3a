"""`fcos convert-checkpoint`; that the boxes are the same is tested in test_live_peers.py."""

import pytest
import torch
import torchvision

from fcos_cli.main import main
from fcos_d2 import Predictor, model_zoo


@pytest.fixture(scope="module")
def torchvision_file(tmp_path_factory) -> str:
    peer = torchvision.models.detection.fcos_resnet50_fpn(weights=None, weights_backbone=None)
    path = tmp_path_factory.mktemp("peer") / "fcos.pth"
    torch.save(peer.state_dict(), path)
    return str(path)


def test_torchvision(torchvision_file, tmp_path, capsys):
    output = tmp_path / "made" / "fcos.pth"
    assert main(["convert-checkpoint", torchvision_file, "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "config: Converted/TorchVision-R50" in printed and "note:" not in printed
    cfg = model_zoo.get_config(str(output.with_suffix(".yaml")))
    assert cfg.MODEL.FCOS.LOCATION_RULE == "corner" and cfg.INPUT.FORMAT == "RGB"
    # Everything that the predictor needs is in the two files.
    predictor = Predictor(str(output.with_suffix(".yaml")), device="cpu")
    assert predictor.class_names[:2] == ["person", "bicycle"] and len(predictor.class_names) == 80
    weights = torch.load(torchvision_file)
    torch.testing.assert_close(
        predictor.model.backbone.fpn_lateral3.weight,
        weights["backbone.fpn.inner_blocks.0.0.weight"],
    )


@pytest.mark.parametrize(
    "name",
    [
        "FCOS-RT/DLA34-BN-Head",
        pytest.param("FCOS/V39-MS-3x", marks=pytest.mark.slow),
        pytest.param("FCOS/R50-MS-2x", marks=pytest.mark.slow),
    ],
)
def test_the_config_is_found_by_the_weights(tmp_path, capsys, name):
    opts = ["MODEL.FCOS.NUM_CLASSES", "7", "MODEL.DEVICE", "cpu"]
    state = model_zoo.get_model(name, opts).state_dict()
    torch.save({"model": state, "class_names": list("abcdefg")}, tmp_path / "in.pth")
    arguments = [str(tmp_path / "in.pth"), "--output", str(tmp_path / "out.pth")]
    assert main(["convert-checkpoint", *arguments]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("config: "))
    assert name in line
    assert model_zoo.get_config(str(tmp_path / "out.yaml")).MODEL.FCOS.NUM_CLASSES == 7
    saved = torch.load(tmp_path / "out.pth")
    assert saved["class_names"] == list("abcdefg")
    torch.testing.assert_close(saved["model"], dict(state), rtol=0, atol=0)


def test_mistakes_are_told(torchvision_file, tmp_path, capsys):
    torch.save({"encoder.weight": torch.zeros(2)}, tmp_path / "other.pth")
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    output = ["--output", str(tmp_path / "out.pth")]
    for arguments, message in (
        (["nowhere.pth"], "nowhere.pth"),
        ([str(tmp_path / "other.pth")], "other.pth: no known origin; its first weights are enc"),
        (
            [str(tmp_path / "resnet18.pth"), "--config", "Recipes/R18-Scratch"],
            "needs no conversion",
        ),
        ([torchvision_file, "--config", "FCOS-RT/DLA34"], "FCOS-RT/DLA34 does not fit"),
        ([torchvision_file, "--config", "FCOS/R51"], "FCOS/R51: no such config"),
    ):
        assert main(["convert-checkpoint", *arguments, *output]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out.pth").exists()
