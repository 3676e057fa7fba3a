"""Batch norms folded into the convolutions before them: the same function in fewer steps."""

import copy
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d, NaiveSyncBatchNorm
from torch import nn

from .backbone.same_padding import SamePaddedConv2d
from .batch_norms import is_activated
from .layers import ModulatedDeformConv

# Exactly these types, and subclasses that activate, too: others may do more.
_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, NaiveSyncBatchNorm, FrozenBatchNorm2d)
_CONVOLUTIONS = (nn.Conv2d, SamePaddedConv2d)

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def fold_batch_norms(model: ModuleT) -> ModuleT:
    """A copy of `model` for inference that gives the same up to rounding, sooner.

    A batch norm in evaluation is a scale and an offset per channel, which the convolution before it
    can apply with its own weights. Folded are norms that a convolution calls itself (its attribute
    `norm`, as in detectron2), that follow it in a Sequential, or that a module around both names
    after it in `conv_norm_pairs`. Others stay: norms per level, whose convolution the levels share,
    group norms, and whatever is called in an order that cannot be told from outside.

    Args:
        model: any; it stays as it is.

    Returns:
        The copy, in evaluation mode, without gradients, its weights in the channels-last layout,
        which convolutions are faster in. Weights must be loaded before: it has fewer norms.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    uses = Counter(id(module) for _, module in folded.named_modules(remove_duplicate=False))
    for parent in folded.modules():
        for conv, owner, name in _convs_before_norms(parent):
            norm = owner.get_submodule(name)
            if _is_known(norm) and uses[id(conv)] == uses[id(norm)] == 1:
                _fold(conv, norm)
                setattr(owner, name, None if owner is conv else _rest_of(norm))
    return folded.to(memory_format=torch.channels_last)


def _convs_before_norms(parent: nn.Module) -> Iterator[tuple[nn.Module, nn.Module, str]]:
    """Convolution, and the module and its attribute that hold what is called on the result."""
    if isinstance(parent, (Conv2d, ModulatedDeformConv)):
        if parent.norm is not None:
            yield parent, parent, "norm"
        return
    pairs = getattr(parent, "conv_norm_pairs", ())
    if isinstance(parent, nn.Sequential):
        names = [name for name, _ in parent.named_children()]
        pairs = itertools.pairwise(names)
    for conv_name, norm_name in pairs:
        conv = parent.get_submodule(conv_name)
        # A subclass may do more than convolve.
        if type(conv) in _CONVOLUTIONS:
            owner, _, name = norm_name.rpartition(".")
            yield conv, parent.get_submodule(owner), name


def _is_known(norm: Any) -> bool:
    known = type(norm) in _NORMS or (isinstance(norm, _NORMS) and is_activated(norm))
    return known and norm.weight is not None and norm.running_var is not None


def _rest_of(norm: Any) -> nn.Module:
    """What a norm does beside normalising."""
    return nn.Sequential(norm.drop, norm.act) if is_activated(norm) else nn.Identity()


@torch.no_grad()
def _fold(conv: Any, norm: Any) -> None:
    """Gives `conv` (weight (C, ..., k, k), bias (C,) or None) the weights of both."""
    # Double precision, so that nothing but the new weights themselves is rounded.
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()  # (C,)
    offset = norm.bias.double() - norm.running_mean.double() * scale
    if conv.bias is not None:
        offset += conv.bias.double() * scale
    weight = conv.weight.double() * scale[:, None, None, None]
    conv.weight = nn.Parameter(weight.to(conv.weight), requires_grad=False)
    conv.bias = nn.Parameter(offset.to(conv.weight), requires_grad=False)
