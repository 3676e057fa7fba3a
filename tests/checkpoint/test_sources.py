"""Weights of every origin, as files, into our models. Live detectors: test_live_peers.py."""

import logging
import pickle
import re

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from fcos_d2 import model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer

R18 = "Recipes/R18-Scratch"


def build(name: str, opts: tuple = ()) -> nn.Module:
    return model_zoo.get_model(name, ["MODEL.DEVICE", "cpu", *opts]).eval()


def randomise(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) * 0.1 + 0.01)
    return model


def load(model: nn.Module, path: object, **options) -> object:
    checkpointer = FCOSCheckpointer(model, **options)
    checkpointer.load(str(path), checkpointables=[])
    return checkpointer.report


def assert_same_state(model: nn.Module, expected: dict, leave_out: str = r"$^") -> None:
    actual = {k: v for k, v in model.state_dict().items() if not re.search(leave_out, k)}
    torch.testing.assert_close(
        actual, {k: v for k, v in expected.items() if k in actual}, rtol=0, atol=0
    )


# --- detectors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapped", [True, False])
def test_adelaidet(tmp_path, wrapped):
    """Strictly, with the statistics that old files hold, bare or inside, from several GPUs."""
    donor, model = (
        randomise(build("FCOS-RT/DLA34-SharedTowers-BN-Head")),
        build("FCOS-RT/DLA34-SharedTowers-BN-Head"),
    )
    state = {
        **donor.state_dict(),
        "pixel_mean": torch.zeros(3, 1, 1),
        "pixel_std": torch.ones(3, 1, 1),
    }
    if wrapped:
        state = {"model": {f"module.{k}": v for k, v in state.items()}, "iteration": 9}
    torch.save(state, tmp_path / "model.pth")
    report = load(model, tmp_path / "model.pth")
    assert report.complete and report.origin == "AdelaiDet or fcos_d2"
    assert_same_state(model, donor.state_dict())
    assert model.pixel_mean.flatten().tolist() == pytest.approx([103.53, 116.28, 123.675])


def tianzhi_names(state: dict) -> dict:
    """Our names to those of maskrcnn-benchmark, read off the published table."""
    renamed = {}
    for key, value in state.items():
        key = key.replace("backbone.bottom_up.stem.conv1.norm", "backbone.body.stem.bn1")
        key = key.replace("backbone.bottom_up.stem.conv1", "backbone.body.stem.conv1")
        for i in (2, 3, 4, 5):
            key = key.replace(f"backbone.bottom_up.res{i}", f"backbone.body.layer{i - 1}")
            key = key.replace(f"backbone.fpn_lateral{i}", f"backbone.fpn.fpn_inner{i - 1}")
            key = key.replace(f"backbone.fpn_output{i}", f"backbone.fpn.fpn_layer{i - 1}")
        for i in (1, 2, 3):
            key = key.replace(f".conv{i}.norm.", f".bn{i}.")
        key = key.replace(".shortcut.norm.", ".downsample.1.").replace(
            ".shortcut.", ".downsample.0."
        )
        key = key.replace("backbone.top_block.", "backbone.fpn.top_blocks.")
        key = key.replace("proposal_generator.fcos_head.ctrness", "rpn.head.centerness")
        renamed[key.replace("proposal_generator.fcos_head.", "rpn.head.")] = value
    return renamed


@pytest.mark.parametrize("start", ["P5", "C5"])
def test_tianzhi(tmp_path, start):
    opts = ("MODEL.FCOS.TOP_LEVELS_FROM", start)
    donor, model = (build("Converted/tianzhi-Plain-R50", opts) for _ in range(2))
    state = tianzhi_names(randomise(donor).state_dict())
    assert "backbone.body.layer1.0.downsample.1.weight" in state
    assert state["backbone.fpn.top_blocks.p6.weight"].shape[1] == {"P5": 256, "C5": 2048}[start]
    torch.save({"model": state, "optimizer": {}, "iteration": 90000}, tmp_path / "fcos.pth")
    report = load(model, tmp_path / "fcos.pth")
    assert report.complete and report.origin == "tianzhi0549/FCOS"
    assert_same_state(model, donor.state_dict())


def test_other_settings_are_said(tmp_path, caplog):
    peer = torchvision.models.detection.fcos_resnet50_fpn(weights=None, weights_backbone=None)
    torch.save(peer.state_dict(), tmp_path / "fcos.pth")
    report = load(build("FCOS/R50-1x"), tmp_path / "fcos.pth")
    assert report.complete, "scales of 1 take the place of none"
    notes = "\n".join(report.notes)
    for name in ("pixel_mean", "location_rule is center", "clip_before_nms", "conv1.stride"):
        assert name in notes
    assert "configs/Converted/TorchVision-R50.yaml" in notes
    assert "location_rule is center" in caplog.text


def test_torchvision_model_of_other_classes(tmp_path):
    """Output 0 is its background; ours has none."""
    peer = torchvision.models.detection.fcos_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=4
    )
    torch.save(peer.state_dict(), tmp_path / "fcos.pth")
    model = build("Converted/TorchVision-R50", ("MODEL.FCOS.NUM_CLASSES", "3"))
    assert load(model, tmp_path / "fcos.pth").complete
    torch.testing.assert_close(
        model.proposal_generator.fcos_head.cls_logits.weight,
        peer.head.classification_head.cls_logits.weight[1:],
    )


# --- bodies -------------------------------------------------------------------------------------


def test_torchvision_resnet(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    peer = randomise(torchvision.models.resnet18(weights=None)).eval()
    torch.save(peer.state_dict(), tmp_path / "resnet18.pth")
    model = build(R18)
    report = load(model, tmp_path / "resnet18.pth")
    assert report.complete and report.origin == "torchvision ResNet"
    assert report.new_parts == ["neck", "proposal_generator"]
    assert "pixel_mean is" in caplog.text, "BGR here, RGB there"
    assert "INPUT.FORMAT (image_format of the mappers) is BGR" in caplog.text
    # Its blocks of two 3x3 convolutions have the stride in the first, as they must.
    assert "stride" not in caplog.text
    # Of such positive weights activations would grow without end.
    for net in (peer, model.backbone.bottom_up):
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data.div_(module.weight[0].numel() * 0.1)
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = x
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            expected = getattr(peer, name)(expected)
        found = model.backbone.bottom_up(x)["res5"]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("origin", ["original", "timm"])
def test_dla34(tmp_path, origin):
    """Both formats give timm's features."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    peer = timm.create_model("dla34", pretrained=False).eval()
    state = peer.state_dict()
    model = build("FCOS-RT/DLA34")
    path = tmp_path / "dla34.weights"
    if origin == "timm":
        save_file(state, path)
    else:
        # The original has two more projections, and no counters in its batch norms.
        own = {k: v for k, v in model.backbone.bottom_up.state_dict().items() if "project" in k}
        state = {**own, **state}
        state = {k: v for k, v in state.items() if "num_batches_tracked" not in k}
        assert {"level3.project.0.weight", "fc.weight"} <= set(state)
        torch.save(state, path, _use_new_zipfile_serialization=False)
    report = load(model, path)
    assert report.complete and report.new_parts == ["neck", "proposal_generator"]
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        found = model.backbone.bottom_up(x)["level5"]
        torch.testing.assert_close(found, peer.forward_features(x), rtol=1e-5, atol=1e-5)


RGB = (
    *("INPUT.FORMAT", "RGB", "MODEL.PIXEL_MEAN", "[123.675,116.28,103.53]"),
    *("MODEL.PIXEL_STD", "[58.395,57.12,57.375]"),
)


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_nothing_is_said_of_settings_that_fit(tmp_path, depth):
    peer = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    torch.save(peer.state_dict(), tmp_path / "resnet.pth")
    opts = ("MODEL.RESNETS.DEPTH", str(depth), "MODEL.RESNETS.STRIDE_IN_1X1", "False")
    if depth == 50:
        opts += ("MODEL.RESNETS.RES2_OUT_CHANNELS", "256")
    assert load(build(R18, (*opts, *RGB)), tmp_path / "resnet.pth").notes == []
    notes = load(build(R18, (*opts, *RGB, "INPUT.FORMAT", "BGR")), tmp_path / "resnet.pth").notes
    assert notes == [
        "INPUT.FORMAT (image_format of the mappers) is BGR, but these weights were made for RGB"
    ]


def test_dla_wants_rgb(tmp_path):
    """As all of ImageNet's weights do that PyTorch made."""
    body = build("FCOS-RT/DLA34").backbone.bottom_up
    torch.save(body.state_dict(), tmp_path / "dla34.pth")
    assert load(build("FCOS-RT/DLA34", RGB), tmp_path / "dla34.pth").notes == []
    notes = load(build("FCOS-RT/DLA34"), tmp_path / "dla34.pth").notes
    assert [note.split(" is ")[0].split(" ")[0] for note in notes] == [
        "INPUT.FORMAT",
        "pixel_mean",
        "pixel_std",
    ]


@pytest.mark.parametrize(
    ("author", "opts", "differing"),
    [
        # R-50.pkl of MSRA: BGR, grey levels less their mean.
        ("Caffe2", (), []),
        ("Caffe2", RGB, ["INPUT.FORMAT", "pixel_mean", "pixel_std"]),
        ("torchvision", RGB, []),
        ("torchvision", (), ["INPUT.FORMAT", "pixel_mean", "pixel_std"]),
        ("me", RGB, []),
    ],
)
def test_statistics_of_detectron2s_zoo(tmp_path, author, opts, differing):
    model = build("FCOS/R50-1x", opts)
    body = model.backbone.bottom_up.state_dict()
    arrays = {k: v.numpy() for k, v in body.items() if "num_batches" not in k}
    if author == "Caffe2":
        arrays = {"conv1_w": arrays["stem.conv1.weight"]}
    data = {"model": arrays, "__author__": author, "matching_heuristics": True}
    path = tmp_path / "R-50.pkl"
    path.write_bytes(pickle.dumps(data))
    report = load(model, path, trust_checkpoint=str(path))
    assert [note.split(" ")[0] for note in report.notes] == differing


def test_vovnet(tmp_path):
    opts = ("MODEL.VOVNET.CONV_BODY", "V-19-slim-eSE")
    donor, model = (build("FCOS/V39-MS-3x", opts) for _ in range(2))
    body = randomise(donor).backbone.bottom_up.state_dict()
    torch.save({**body, "classifier.weight": torch.zeros(1000, 512)}, tmp_path / "vovnet.pth")
    report = load(model, tmp_path / "vovnet.pth")
    assert report.complete and report.origin == "VoVNet"
    assert_same_state(model.backbone.bottom_up, body)


def test_mobilenet_in_the_layout_of_tonylins(tmp_path):
    donor, model = (build("FCOS/MobileNetV2-1x") for _ in range(2))
    body = randomise(donor).backbone.bottom_up.state_dict()
    rest = {"conv.0.weight": torch.zeros(1280, 320, 1, 1), "classifier.weight": torch.zeros(10, 9)}
    torch.save({**body, **rest}, tmp_path / "mobilenetv2.pth")
    report = load(model, tmp_path / "mobilenetv2.pth")
    assert report.complete and report.origin == "MobileNetV2" and not report.notes
    assert_same_state(model.backbone.bottom_up, body)


def test_detectron2_zoo(tmp_path):
    """A body as detectron2 publishes it: a pickle of arrays, fitted by the ends of the names."""
    donor, model = (build(R18) for _ in range(2))
    body = randomise(donor).backbone.bottom_up.state_dict()
    arrays = {k: v.numpy() for k, v in body.items() if "num_batches" not in k}
    data = {"model": arrays, "__author__": "me", "matching_heuristics": True}
    (tmp_path / "R-18.pkl").write_bytes(pickle.dumps(data))
    with pytest.raises(ValueError, match="R-18.pkl: a pickle"):
        load(model, tmp_path / "R-18.pkl")
    report = load(model, tmp_path / "R-18.pkl", trust_checkpoint=str(tmp_path / "R-18.pkl"))
    assert report.complete and report.origin == "detectron2's zoo"
    assert report.new_parts == ["neck", "proposal_generator"]
    assert_same_state(model.backbone.bottom_up, body, leave_out="num_batches")


# --- what does not fit --------------------------------------------------------------------------


def test_other_number_of_classes(tmp_path, caplog):
    donor, model = build(R18), build(R18, ("MODEL.FCOS.NUM_CLASSES", "3"))
    torch.save(randomise(donor).state_dict(), tmp_path / "coco.pth")
    before = model.proposal_generator.fcos_head.cls_logits.weight.clone()
    report = load(model, tmp_path / "coco.pth")
    assert caplog.text.count("cls_logits: 80 -> 3 classes, new") == 1
    assert len(report.reshaped) == 2 and not report.missing and not report.unexpected
    assert model.proposal_generator.fcos_head.cls_logits.weight.equal(before)
    assert_same_state(model, donor.state_dict(), leave_out="cls_logits")


def test_one_line_when_all_is_well_and_a_table_when_not(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    model = build(R18)
    state = randomise(build(R18)).state_dict()
    torch.save(state, tmp_path / "whole.pth")
    assert str(load(model, tmp_path / "whole.pth")).splitlines() == [
        f"{tmp_path}/whole.pth (AdelaiDet or fcos_d2): {len(state)} tensors loaded, all there are"
    ]
    state["odd"] = state.pop("backbone.fpn_lateral3.bias")
    torch.save(state, tmp_path / "part.pth")
    report = load(model, tmp_path / "part.pth")
    assert not report.complete
    assert re.split(r"\n| {2,}", str(report))[1:] == [
        "missing: stays as it was",
        "backbone.fpn_lateral3.bias",
        "unexpected: not used",
        "odd",
    ]


def test_weights_of_something_else(tmp_path):
    torch.save({"encoder.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="other.pth .*none of its 1 tensors fits .*encoder.weight"):
        load(build(R18), tmp_path / "other.pth")
    torch.save({"epoch": 3, "config": "x"}, tmp_path / "empty.pth")
    with pytest.raises(ValueError, match="empty.pth: no weights in it; it holds epoch, config"):
        load(build(R18), tmp_path / "empty.pth")
    peer = torchvision.models.mobilenet_v2(weights=None)
    torch.save(peer.state_dict(), tmp_path / "mobilenet.pth")
    with pytest.raises(ValueError, match="mobilenet.pth .MobileNetV2.: this model has no backbone"):
        load(build(R18), tmp_path / "mobilenet.pth")
