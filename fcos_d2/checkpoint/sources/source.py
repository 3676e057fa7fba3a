"""What an origin of weights is, and the steps that the origins share."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from torch import Tensor

State = dict[str, Tensor]
HEAD = "proposal_generator.fcos_head."
IMAGENET_MEAN, IMAGENET_STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]  # of RGB
IMAGENET_RGB: dict[str, object] = {
    "input_format": "RGB",
    "pixel_mean": IMAGENET_MEAN,
    "pixel_std": IMAGENET_STD,
}


@dataclass(frozen=True)
class Source:
    """An origin of weights: how to tell its keys, and what they are called here."""

    name: str
    matches: Callable[[Collection[str]], bool]
    # The state dict in our names; the second argument is that of the model.
    convert: Callable[[State, State], State]
    # A key of the body of a classifier, which is all that is taken of it; "": a whole detector.
    body_anchor: str = ""
    may_miss: str = r"$^"  # pattern of parameters that have no effect
    # Attributes of the model that its results depend on, beside the weights.
    expects: dict[str, object] = field(default_factory=dict)
    # The same, from what a file says of itself beside its weights.
    expects_of: Callable[[Mapping[str, object]], dict[str, object]] = lambda checkpoint: {}
    hint: str = ""  # for the loading report


def rename(state: State, rules: list[tuple[str, str]]) -> State:
    """`state` with every rule (pattern, replacement) applied to its keys, in order."""
    renamed = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed


def without(state: State, pattern: str) -> State:
    """`state` without the keys that `pattern` finds."""
    return {key: value for key, value in state.items() if not re.search(pattern, key)}


def body_prefix(anchor: str, model_keys: Collection[str]) -> str:
    """What comes before `anchor`, a name inside a body, in the keys of a model; "" for "".

    Raises:
        ValueError: the model has no such body.
    """
    if not anchor:
        return ""
    for key in model_keys:
        if f".{key}".endswith(f".{anchor}"):
            return key.removesuffix(anchor)
    raise ValueError(f"this model has no backbone with {anchor!r}")


def below_body(state: State, anchor: str, model_keys: Collection[str]) -> State:
    """`state` of a body, with its own names, under the name that the body has in the model."""
    prefix = body_prefix(anchor, model_keys)
    return {prefix + key: value for key, value in state.items()}


def with_unit_scales(state: State, model_keys: Collection[str]) -> State:
    """`state`, where heads without the learned scale per level get the scale 1."""
    like = state[f"{HEAD}bbox_pred.weight"]
    scales = [key for key in model_keys if key.startswith(f"{HEAD}scales.")]
    return {**state, **{key: like.new_ones(1) for key in scales}}
