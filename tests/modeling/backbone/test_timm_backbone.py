"""Bodies of timm by name."""

import sys

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling import build_backbone

from fcos_d2.config import get_cfg
from fcos_d2.modeling import TimmBackbone
from fcos_d2.modeling.backbone import weights_come_later

timm = pytest.importorskip("timm")
FEATURES = ["res3", "res4", "res5"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {}),
        ("dla34", {}),
        ("mobilenetv3_small_050", {}),
        ("convnext_atto", {}),
        # Channels last; without this option it takes images of 224 x 224 px only.
        ("swin_tiny_patch4_window7_224", {"dynamic_img_size": True}),
    ],
)
def test_features_are_those_of_timm(name, options):
    peer = timm.create_model(name, features_only=True, **options).eval()
    body = TimmBackbone(name=name, out_features=FEATURES).eval()
    body.model.load_state_dict(peer.state_dict())
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        features = body(x)
        expected = dict(zip(peer.feature_info.reduction(), peer(x), strict=True))
    assert list(features) == FEATURES
    for stride, out_feature in zip((8, 16, 32), FEATURES, strict=True):
        shape = body.output_shape()[out_feature]
        assert shape.stride == stride
        assert features[out_feature].shape == (1, shape.channels, 64 // stride, 96 // stride)
        same = expected[stride].permute(0, 3, 1, 2) if "swin" in name else expected[stride]
        torch.testing.assert_close(features[out_feature], same)


def test_norms():
    frozen = TimmBackbone(name="resnet18", out_features=FEATURES, norm="FrozenBN")
    assert any(isinstance(x, FrozenBatchNorm2d) for x in frozen.modules())
    assert not any(isinstance(x, torch.nn.BatchNorm2d) for x in frozen.modules())
    synchronised = TimmBackbone(name="resnet18", out_features=FEATURES, norm="SyncBN")
    assert any(isinstance(x, torch.nn.SyncBatchNorm) for x in synchronised.modules())


@pytest.fixture
def fetched(monkeypatch) -> list[str]:
    """Names of the models whose weights were asked for; random ones come."""
    names, create_model = [], timm.create_model

    def create(name, pretrained=False, **options):
        model = create_model(name, pretrained=False, **options)
        if pretrained:
            names.append(name)
        return model

    monkeypatch.setattr(timm, "create_model", create)
    return names


def config_of(*opts):
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_fcos_timm_fpn_backbone"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    cfg.MODEL.TIMM.PRETRAINED = True
    cfg.MODEL.FPN.IN_FEATURES = FEATURES
    cfg.merge_from_list(list(opts))
    return cfg


IMAGENET = (
    *("MODEL.PIXEL_MEAN", [123.675, 116.28, 103.53], "INPUT.FORMAT", "RGB"),
    *("MODEL.PIXEL_STD", [58.395, 57.12, 57.375]),
)


@pytest.mark.parametrize(
    ("opts", "said"),
    [
        ((), ["PIXEL_MEAN", "PIXEL_STD", "FORMAT"]),
        (IMAGENET, []),
        ((*IMAGENET, "INPUT.FORMAT", "BGR"), ["FORMAT"]),
        # Of a model that was made with 0.5 and 0.5: 127.5 in grey levels.
        ((*IMAGENET, "MODEL.TIMM.NAME", "mobilenetv4_conv_small"), []),
        ((*IMAGENET, "MODEL.TIMM.NAME", "tf_efficientnetv2_b0"), []),
        ((*IMAGENET, "MODEL.TIMM.NAME", "tf_efficientnet_es"), ["PIXEL_MEAN", "PIXEL_STD"]),
    ],
)
def test_settings_that_the_weights_were_not_made_for_are_said(opts, said, fetched, caplog):
    build_backbone(config_of(*opts))
    assert len(fetched) == 1
    lines = [x.getMessage() for x in caplog.records if "timm's weights were made" in x.getMessage()]
    assert [line.split(" ")[0].split(".")[1] for line in lines] == said
    if "tf_efficientnet_es" in opts:
        assert "MODEL.PIXEL_MEAN (model.pixel_mean) is [123.675, 116.28, 103.53]" in lines[0]
        assert lines[0].endswith("made for [127.5, 127.5, 127.5]")


def test_weights_that_a_checkpoint_replaces_are_not_fetched(fetched):
    with weights_come_later():
        body = build_backbone(config_of()).bottom_up
    assert fetched == [] and body.pretrained and body.statistics is None
    with weights_come_later(False):
        build_backbone(config_of())
    assert fetched == ["resnet18"]
    with torch.device("meta"):
        build_backbone(config_of())
    assert fetched == ["resnet18"]


def test_weights_that_cannot_be_fetched_are_named(monkeypatch):
    create_model = timm.create_model

    def create(name, pretrained=False, **options):
        if pretrained:
            raise ConnectionError("no route to huggingface.co\nand more")
        return create_model(name, **options)

    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(ValueError, match=r"weights of resnet18 cannot be had \(no route to hugg"):
        build_backbone(config_of())


def test_from_a_config():
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_fcos_timm_fpn_backbone"
    cfg.MODEL.TIMM.NAME = "mobilenetv3_small_050"
    cfg.MODEL.FPN.IN_FEATURES = FEATURES
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    features = build_backbone(cfg)(torch.randn(1, 3, 64, 64))
    assert {name: x.shape[-1] for name, x in features.items()} == {
        "p3": 8,
        "p4": 4,
        "p5": 2,
        "p6": 1,
        "p7": 1,
    }


def test_mistakes_are_named(monkeypatch):
    with pytest.raises(ValueError, match="no model 'resnet81'; near it are resnet"):
        TimmBackbone(name="resnet81", out_features=FEATURES)
    with pytest.raises(ValueError, match=r"resnet18 gives .*asks for \['res6'\]"):
        TimmBackbone(name="resnet18", out_features=["res6"])
    # Its patches of 14 px have no res<i>.
    with pytest.raises(ValueError, match=r"vit_small_patch14_dinov2 gives the features \[\]"):
        TimmBackbone(name="vit_small_patch14_dinov2", out_features=["res3"])
    with pytest.raises(ValueError, match="norm must be one of"):
        TimmBackbone(name="resnet18", out_features=FEATURES, norm="GN")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "fcos_d2\[timm\]"'):
        TimmBackbone(name="resnet18", out_features=FEATURES)
