"""The keys of a model, by the body that a run starts from."""

from collections.abc import Mapping

from ..checkpoint.sources import efficientnet_lite
from ..checkpoint.sources.source import IMAGENET_MEAN, IMAGENET_STD
from ..checkpoint.starts import statistics, timm_body

# Heads and necks: channels, and convolutions of each branch.
_LIGHT, _FULL = (64, 2), (256, 4)


def model_keys(
    body: str, strides: list[int], bounds: list[int], start_settings: Mapping[str, object]
) -> dict[str, object]:
    """The yaml keys of body, neck and levels.

    Args:
        body: "resnet<depth>", or a name of timm.
        strides: of the levels, finest first.
        bounds: of max(ltrb) between them, px.
        start_settings: keys that the weights need; they win.
    """
    channels, convs = _LIGHT if is_light(body) else _FULL
    # The neck is a pyramid without gaps; the head may read some of it.
    in_body = [f"res{x}" for x in range(min(_level(strides[0]), 5), 6)]
    top_levels = max(_level(strides[-1]) - 5, 0)
    keys: dict[str, object] = {
        "MODEL.META_ARCHITECTURE": "FCOS",
        "MODEL.PROPOSAL_GENERATOR.NAME": "FCOS",
        **_body_keys(body, in_body),
        "MODEL.FPN.IN_FEATURES": in_body,
        "MODEL.FPN.OUT_CHANNELS": channels,
        "MODEL.FCOS.TOP_LEVELS": top_levels,
        "MODEL.FCOS.IN_FEATURES": [f"p{_level(x)}" for x in strides],
        "MODEL.FCOS.FPN_STRIDES": strides,
        "MODEL.FCOS.SIZES_OF_INTEREST": bounds,
        "MODEL.FCOS.NUM_CLS_CONVS": convs,
        "MODEL.FCOS.NUM_BOX_CONVS": convs,
    }
    return keys | dict(start_settings)


def is_light(body: str) -> bool:
    """Whether it is meant for CPUs."""
    return body == "resnet18" or "lite" in body or "mobilenet" in body


def in_words(body: str) -> str:
    """What people call it."""
    known = {"tf_efficientnet_lite": "EfficientNet-Lite", "resnet": "ResNet-"}
    for prefix, name in known.items():
        if body.startswith(prefix) and body.removeprefix(prefix).isdigit():
            return name + body.removeprefix(prefix)
    return body


def _level(stride: int) -> int:
    return stride.bit_length() - 1


def _body_keys(body: str, features: list[str]) -> dict[str, object]:
    depth = body.removeprefix("resnet")
    if body.startswith("resnet") and depth.isdigit():
        keys: dict[str, object] = {
            "MODEL.BACKBONE.NAME": "build_fcos_resnet_fpn_backbone",
            "MODEL.RESNETS.DEPTH": int(depth),
            "MODEL.RESNETS.NORM": "BN",
            "MODEL.RESNETS.STRIDE_IN_1X1": False,
            "MODEL.RESNETS.OUT_FEATURES": features,
            "MODEL.PIXEL_STD": [57.375, 57.12, 58.395],
        }
        if int(depth) < 50:
            keys["MODEL.RESNETS.RES2_OUT_CHANNELS"] = 64
        return keys
    of_lite = body.startswith("tf_efficientnet_lite")
    mean = efficientnet_lite.MEAN if of_lite else IMAGENET_MEAN
    std = efficientnet_lite.STD if of_lite else IMAGENET_STD
    return {
        **timm_body(body),
        "MODEL.TIMM.OUT_FEATURES": features,
        **statistics(mean, std),
    }
