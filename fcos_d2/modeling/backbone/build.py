"""The backbones in detectron2's registry: every body with every neck.

Their names are build_fcos_<body>_<neck>_backbone, such as build_fcos_resnet_fpn_backbone; those
that AdelaiDet has as well do the same.
"""

import math
from collections.abc import Callable
from itertools import pairwise

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone import FPN, Backbone
from torch import nn

from .bifpn import BiFPN
from .dla import build_dla
from .mobilenet import build_mobilenetv2
from .pafpn import PAFPN
from .resnet import build_resnet
from .timm_backbone import build_timm
from .top_levels import TopLevels
from .vovnet import build_vovnet

BODIES = {
    "resnet": build_resnet,
    "dla": build_dla,
    "vovnet": build_vovnet,
    "mobilenetv2": build_mobilenetv2,
    "timm": build_timm,
}
NECKS = ("fpn", "pafpn", "bifpn")


def add_neck(cfg: CfgNode, body: Backbone, neck: str) -> Backbone:
    """A neck of MODEL.FPN (and MODEL.BIFPN) with MODEL.FCOS.TOP_LEVELS more levels on `body`.

    Args:
        cfg: the whole config.
        body: gives the features that MODEL.FPN.IN_FEATURES names.
        neck: one of NECKS.

    Raises:
        ValueError: features that the body does not give, strides that do not double, or other
            wrong settings of the neck.
    """
    fpn, shapes = cfg.MODEL.FPN, body.output_shape()
    _check_neck(fpn, shapes)
    common = {
        "bottom_up": body,
        "in_features": fpn.IN_FEATURES,
        "out_channels": fpn.OUT_CHANNELS,
        "top_block": _build_top_levels(cfg, shapes),
    }
    if neck == "bifpn":
        bifpn = cfg.MODEL.BIFPN
        return BiFPN(**common, norm=bifpn.NORM, num_repeats=bifpn.NUM_REPEATS)
    neck_class = {"fpn": FPN, "pafpn": PAFPN}[neck]
    return neck_class(**common, norm=fpn.NORM, fuse_type=fpn.FUSE_TYPE)


def _check_neck(fpn: CfgNode, shapes: dict[str, ShapeSpec]) -> None:
    """Says what is wrong with MODEL.FPN; detectron2's FPN stops with bare assertions."""
    names = list(fpn.IN_FEATURES)
    if not names or any(name not in shapes for name in names):
        raise ValueError(
            f"MODEL.FPN.IN_FEATURES is {names}, but the backbone gives {list(shapes)}; "
            "its own OUT_FEATURES decide which"
        )
    strides = [shapes[name].stride for name in names]
    if any(b != 2 * a for a, b in pairwise(strides)):
        raise ValueError(
            f"MODEL.FPN.IN_FEATURES {names} have strides {strides}; list them finest first, each "
            "stride twice the one before (a dilated stage has no stride of its own: leave it out)"
        )
    if fpn.FUSE_TYPE not in ("sum", "avg"):
        raise ValueError(f'MODEL.FPN.FUSE_TYPE must be "sum" or "avg", got {fpn.FUSE_TYPE!r}')


def _build_top_levels(cfg: CfgNode, shapes: dict[str, ShapeSpec]) -> nn.Module | None:
    num_levels, start = cfg.MODEL.FCOS.TOP_LEVELS, cfg.MODEL.FCOS.TOP_LEVELS_FROM
    if start not in ("P5", "C5"):
        raise ValueError(f'MODEL.FCOS.TOP_LEVELS_FROM must be "P5" or "C5", got {start!r}')
    if num_levels == 0:
        return None
    coarsest, channels = cfg.MODEL.FPN.IN_FEATURES[-1], cfg.MODEL.FPN.OUT_CHANNELS
    if start == "C5":
        return TopLevels(shapes[coarsest].channels, channels, num_levels, coarsest)
    stage = int(math.log2(shapes[coarsest].stride))
    return TopLevels(channels, channels, num_levels, f"p{stage}")


def _register(body: str, neck: str) -> None:
    build_body: Callable[[CfgNode, ShapeSpec], Backbone] = BODIES[body]

    def build(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
        return add_neck(cfg, build_body(cfg, input_shape), neck)

    build.__name__ = f"build_fcos_{body}_{neck}_backbone"
    BACKBONE_REGISTRY.register(build)


for _body in BODIES:
    for _neck in NECKS:
        _register(_body, _neck)
