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


@pytest.mark.parametrize("body", ["dla", "vovnet", "mobilenetv2"])
def test_group_norm_in_every_body(body):
    cfg = backbone_cfg(body, "fpn")
    cfg.MODEL[body.upper()].NORM = "GN"
    cfg.MODEL.VOVNET.CONV_BODY = "V-19-slim-eSE"  # 112 channels, which 32 does not divide
    backbone = build_backbone(cfg).bottom_up
    norms = [x for x in backbone.modules() if isinstance(x, torch.nn.GroupNorm)]
    assert all(x.num_channels // x.num_groups >= 2 for x in norms) and len(norms) > 10
    assert {x.num_groups for x in norms if x.num_channels == 64} <= {32}
    assert all(x.isfinite().all() for x in backbone(torch.randn(1, 3, 64, 64)).values())


def test_adelaidets_names():
    for body in ("resnet", "dla", "vovnet"):
        assert f"build_fcos_{body}_fpn_backbone" in BACKBONE_REGISTRY


@pytest.mark.parametrize("neck", NECKS)
@pytest.mark.parametrize("start", ["P5", "C5"])
@pytest.mark.parametrize(
    ("stages", "top_levels"), [((2, 3, 4, 5), 2), ((2, 3, 4, 5), 0), ((3, 4), 1), ((2, 3, 4), 2)]
)
def test_levels_follow_the_strides_of_the_body(neck, start, stages, top_levels):
    """The levels on top of res4 are p5 and p6, whichever feature they start from."""
    cfg = backbone_cfg("resnet", neck, stages)
    cfg.MODEL.FCOS.TOP_LEVELS, cfg.MODEL.FCOS.TOP_LEVELS_FROM = top_levels, start
    with torch.device("meta"):
        backbone = build_backbone(cfg)
        features = backbone(torch.empty(2, 3, 64, 128))
    expected = {2: (16, 32), 3: (8, 16), 4: (4, 8), 5: (2, 4), 6: (1, 2), 7: (1, 1)}
    levels = range(stages[0], stages[-1] + 1 + top_levels)
    assert {name: tuple(x.shape) for name, x in features.items()} == {
        f"p{i}": (2, 64, *expected[i]) for i in levels
    }
    assert {name: x.stride for name, x in backbone.output_shape().items()} == {
        f"p{i}": 2**i for i in levels
    }


@pytest.mark.parametrize("neck", NECKS)
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("MODEL.FPN.IN_FEATURES", ["res2", "res3"], r"backbone gives \['res3', 'res4', 'res5'\]"),
        ("MODEL.FPN.IN_FEATURES", [], r"IN_FEATURES is \[\], but the backbone gives \['res3'"),
        ("MODEL.FPN.IN_FEATURES", ["res3", "res5"], r"strides \[8, 32\]; list them finest first"),
        ("MODEL.RESNETS.RES5_DILATION", 2, r"strides \[8, 16, 16\].*leave it out"),
        ("MODEL.FPN.FUSE_TYPE", "max", "FUSE_TYPE must be .*got 'max'"),
        ("MODEL.FCOS.TOP_LEVELS", 3, "must be 1 or 2, got 3"),
    ],
)
def test_mistakes_are_named(neck, key, value, message):
    cfg = backbone_cfg("resnet", neck)
    cfg.merge_from_list([key, value])
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        build_backbone(cfg)
