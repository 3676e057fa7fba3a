"""ImageNet weights of VoVNets, vovnet<n>_ese_detectron2.pth."""

from collections.abc import Collection

from .source import Source, State, below_body, without

_ANCHOR = "stem.stem_1/conv.weight"


def _convert(state: State, model_keys: Collection[str]) -> State:
    body = {key.removeprefix("backbone.bottom_up."): value for key, value in state.items()}
    body = without(body, r"^(classifier|fc)\.")
    return below_body(body, _ANCHOR, model_keys)


SOURCE = Source(
    name="VoVNet",
    matches=lambda keys: any(key.endswith(_ANCHOR) for key in keys),
    convert=_convert,
    body_anchor=_ANCHOR,
)
