"""ImageNet weights of DLA-34: dla34-ba72cf86.pth and timm's dla34."""

from collections.abc import Collection

from .source import IMAGENET_RGB, Source, State, below_body, without

# timm left out two layers that have no effect; see modeling/backbone/dla.py.
WITHOUT_EFFECT = r"\.level[34]\.project\."


_ANCHOR = "base_layer.0.weight"


def _convert(state: State, model_keys: Collection[str]) -> State:
    return below_body(without(state, r"^fc\."), _ANCHOR, model_keys)


SOURCE = Source(
    name="DLA",
    matches=lambda keys: {"base_layer.0.weight", "level5.root.conv.weight"} <= set(keys),
    convert=_convert,
    body_anchor=_ANCHOR,
    may_miss=WITHOUT_EFFECT,
    expects=IMAGENET_RGB,
)
