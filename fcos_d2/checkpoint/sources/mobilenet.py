"""ImageNet weights of MobileNetV2: torchvision's, and those in the layout of tonylins."""

import re
from collections.abc import Collection

from .source import IMAGENET_RGB, Source, State, below_body, without

# torchvision nests convolution, norm and ReLU of a step in one more container. The first block
# does not expand its channels, so it has a step less.
_FLAT_FIRST = {"0.0": "0", "0.1": "1", "1": "3", "2": "4"}
_FLAT = {"0.0": "0", "0.1": "1", "1.0": "3", "1.1": "4", "2": "6", "3": "7"}


_ANCHOR = "features.1.conv.0.weight"


def _flatten(key: str) -> str:
    match = re.fullmatch(r"(features\.(\d+)\.conv)\.([\d.]+)\.(\w+)", key)
    if not match:
        return key
    block, index, nested, name = match.groups()
    return f"{block}.{(_FLAT_FIRST if index == '1' else _FLAT)[nested]}.{name}"


def _convert(state: State, model_keys: Collection[str]) -> State:
    body = without(state, r"^(classifier|conv|features\.18)\.")
    if "features.1.conv.0.0.weight" in body:
        body = {_flatten(key): value for key, value in body.items()}
    return below_body(body, _ANCHOR, model_keys)


SOURCE = Source(
    name="MobileNetV2",
    matches=lambda keys: (
        {"features.0.0.weight", "features.17.conv.0.weight"} <= set(keys)
        or "features.17.conv.0.0.weight" in keys
    ),
    convert=_convert,
    body_anchor=_ANCHOR,
    expects=IMAGENET_RGB,
)
