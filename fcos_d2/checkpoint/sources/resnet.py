"""ImageNet weights of torchvision's ResNets and ResNeXts; timm's have the same names."""

from collections.abc import Collection

from .source import IMAGENET_RGB, Source, State, below_body, rename, without

_ANCHOR = "res2.0.conv1.weight"


def resnet_rules(prefix: str) -> list[tuple[str, str]]:
    """From torchvision's names inside a ResNet to detectron2's, for `rename`.

    Args:
        prefix: of the ResNet's keys, before and after.
    """
    old, block = "^" + prefix.replace(".", r"\."), r"(\.?res\d\.\d+\.)"
    return [
        (rf"{old}conv1\.weight$", f"{prefix}stem.conv1.weight"),
        (rf"{old}bn1\.", f"{prefix}stem.conv1.norm."),
        *((rf"{old}layer{i}\.", f"{prefix}res{i + 1}.") for i in (1, 2, 3, 4)),
        (rf"{block}bn(\d)\.", r"\1conv\2.norm."),
        (rf"{block}downsample\.0\.", r"\1shortcut."),
        (rf"{block}downsample\.1\.", r"\1shortcut.norm."),
    ]


def _convert(state: State, model_keys: Collection[str]) -> State:
    body = rename(without(state, r"^fc\."), resnet_rules(""))
    return below_body(body, _ANCHOR, model_keys)


SOURCE = Source(
    name="torchvision ResNet",
    matches=lambda keys: {"conv1.weight", "layer1.0.conv1.weight"} <= set(keys),
    convert=_convert,
    body_anchor=_ANCHOR,
    # Trained on RGB images with these statistics, with the stride in the 3x3 convolution.
    expects={**IMAGENET_RGB, "backbone.bottom_up.res3.0.conv1.stride": (1, 1)},
)
