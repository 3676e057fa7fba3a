"""Every body with every neck, from a config."""

import pytest
import torch
from detectron2.modeling import BACKBONE_REGISTRY, build_backbone

from fcos_d2.config import get_cfg
from fcos_d2.modeling.backbone.build import BODIES, NECKS

FEATURES = {"dla": "level", "vovnet": "stage"}


def backbone_cfg(body: str, neck: str, stages=(3, 4, 5)):
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = f"build_fcos_{body}_{neck}_backbone"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    cfg.MODEL.RESNETS.OUT_FEATURES = [f"res{i}" for i in stages]
    cfg.MODEL.FPN.IN_FEATURES = [f"{FEATURES.get(body, 'res')}{i}" for i in stages]
    cfg.MODEL.FPN.OUT_CHANNELS = 64
    return cfg


@pytest.mark.parametrize("neck", NECKS)
@pytest.mark.parametrize("body", BODIES)
def test_every_combination(body, neck):
    if body == "timm":
        pytest.importorskip("timm")
    with torch.device("meta"):
        backbone = build_backbone(backbone_cfg(body, neck))
        features = backbone(torch.empty(2, 3, 96, 160))
    sizes = {"p3": (12, 20), "p4": (6, 10), "p5": (3, 5), "p6": (2, 3), "p7": (1, 2)}
    assert {name: tuple(x.shape) for name, x in features.items()} == {
        name: (2, 64, *size) for name, size in sizes.items()
    }
    assert {name: x.stride for name, x in backbone.output_shape().items()} == {
        name: 2 ** int(name[1]) for name in sizes
    }


def test_adelaidets_names():
    for body in ("resnet", "dla", "vovnet"):
        assert f"build_fcos_{body}_fpn_backbone" in BACKBONE_REGISTRY


@pytest.mark.parametrize("neck", NECKS)
@pytest.mark.parametrize("top_levels", [0, 1, 2])
def test_levels_from_stride_4(neck, top_levels):
    cfg = backbone_cfg("resnet", neck, stages=(2, 3, 4, 5))
    cfg.MODEL.FCOS.TOP_LEVELS = top_levels
    with torch.device("meta"):
        shapes = build_backbone(cfg).output_shape()
    assert [x.stride for x in shapes.values()] == [4, 8, 16, 32, 64, 128][: 4 + top_levels]


def test_mistakes_are_named():
    cfg = backbone_cfg("resnet", "fpn")
    cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3"]
    with torch.device("meta"), pytest.raises(ValueError, match=r"backbone gives \['res3', 'res4'"):
        build_backbone(cfg)
