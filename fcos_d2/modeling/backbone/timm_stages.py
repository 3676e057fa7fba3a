"""Which parameters of a timm model make up its stages and layers."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

_SIDE = 64  # px


def parameters_up_to(stage: int, model: str, extractor: Any, in_channels: int) -> set[str]:
    """Names of the parameters that res<stage> is made from.

    Args:
        stage: as MODEL.BACKBONE.FREEZE_AT counts: i stands for stride 2 ** i. 1 is the stem: what
            the features of stride 2 are made from, or, where there are none, what timm calls it.
            More than there are is all.
        model: timm's name.
        extractor: of it, with features of all strides that it has.
        in_channels: of the image.

    Raises:
        ValueError: no features of that stride, or a stem that timm does not tell.
    """
    features = _features_of_a_small_image(model, extractor, in_channels)
    strides = extractor.feature_info.reduction()
    # The last of those of one stride, as `TimmBackbone` takes them.
    by_stage = {stride.bit_length() - 1: x for stride, x in zip(strides, features, strict=True)}
    stage = min(stage, max(by_stage))
    if stage in by_stage:
        behind = _leaves_behind(by_stage[stage])
        return {name for name, x in extractor.named_parameters() if x in behind}
    if stage == 1:
        layers = layers_of(model, [name for name, _ in extractor.named_parameters()], coarse=True)
        if layers:
            return {name for name, layer in layers.items() if layer == 0}
    raise ValueError(
        f"timm's {model} has no features of stride {2**stage} to freeze up to: "
        f"MODEL.BACKBONE.FREEZE_AT (freeze_at) can be 0 or one of {sorted(by_stage)}, got {stage}"
    )


def layers_of(model: str, names: Iterable[str], coarse: bool = False) -> dict[str, int]:
    """The layer of each parameter, counted from the stem, as timm divides the model; {} if not.

    Asked is the whole model, because timm's extractors do not know their layers. They write
    some of the dots in its names as underscores.

    Args:
        model: timm's name.
        names: of the parameters of an extractor.
        coarse: stages instead of blocks.
    """
    import timm

    try:
        with torch.device("meta"):  # without memory behind the tensors
            whole: Any = timm.create_model(model)
    except NotImplementedError:  # of an operator that some of its models are built with
        whole = timm.create_model(model)
    if not hasattr(whole, "group_matcher"):
        return {}
    matcher = whole.group_matcher(coarse=coarse)
    groups = timm.models.group_parameters(whole, matcher, reverse=True)
    group_of = {name.replace(".", "_"): group for name, group in groups.items()}
    found = {}
    for name in names:
        # "model.": where timm wraps the whole model.
        known = name.removeprefix("model.").replace(".", "_")
        if known not in group_of:
            return {}
        found[name] = group_of[known]
    order = sorted(set(found.values()))
    return {name: order.index(group) for name, group in found.items()}


def _features_of_a_small_image(model: str, extractor: Any, in_channels: int) -> list[Tensor]:
    image = next(extractor.parameters()).new_zeros(1, in_channels, _SIDE, _SIDE)
    try:
        return list(extractor.eval()(image))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError(
            f"timm's {model} takes images of one size, and so cannot be frozen in part "
            f"({str(error).splitlines()[0]}): set MODEL.BACKBONE.FREEZE_AT (freeze_at) 0"
        ) from None


def _leaves_behind(result: Tensor) -> set[Tensor]:
    """The parameters that a tensor was computed from."""
    nodes, seen, leaves = [result.grad_fn], set(), set()
    while nodes:
        node: Any = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(node.variable)
        nodes += [following for following, _ in node.next_functions]
    return leaves
