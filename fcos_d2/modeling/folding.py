"""Batch norms folded into the convolutions before them: the same function in fewer steps."""

import copy
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d, NaiveSyncBatchNorm
from torch import Tensor, nn

from .backbone.same_padding import SamePaddedConv2d
from .batch_norms import is_activated
from .layers import ModulatedDeformConv

# Exactly these types, or those of timm that activate, too: subclasses may do more.
_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, NaiveSyncBatchNorm, FrozenBatchNorm2d)
_CONVOLUTIONS = (nn.Conv2d, SamePaddedConv2d)

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Pair(NamedTuple):
    """A convolution and the norm that alone gets its result.

    Attributes:
        conv: of detectron2, with the norm as its attribute `norm`; a deformable one; or torch's.
        owner: the module that has the norm as a child.
        name: of this child.
    """

    conv: Any
    owner: nn.Module
    name: str

    @property
    def norm(self) -> Any:
        return self.owner.get_submodule(self.name)


def fold_batch_norms(model: ModuleT) -> ModuleT:
    """A copy of `model` for inference that gives the same up to rounding, sooner.

    A batch norm in evaluation is a scale and an offset per channel, which the convolution before it
    can apply with its own weights; see `pairs_of`.

    Args:
        model: any; it stays as it is.

    Returns:
        The copy, in evaluation mode, without gradients, its weights in the channels-last layout,
        which convolutions are faster in. Weights must be loaded before: it has fewer norms.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    for pair in list(pairs_of(folded)):
        _fold(pair.conv, pair.norm)
        setattr(pair.owner, pair.name, _without(pair))
    return folded.to(memory_format=torch.channels_last)


def pairs_of(model: nn.Module) -> Iterator[Pair]:
    """The batch norms of `model` that can be folded.

    They are norms that a convolution calls itself (its attribute `norm`, as in detectron2), that
    follow it in a Sequential, or that a module around both names after it in `conv_norm_pairs`.
    Others are not: norms per level, whose convolution the levels share, group norms, and whatever
    is called in an order that cannot be told from outside.
    """
    uses = Counter(id(module) for _, module in model.named_modules(remove_duplicate=False))
    found = set[int]()
    for parent in model.modules():
        for pair in _candidates(parent):
            conv, norm = id(pair.conv), id(pair.norm)
            if _is_known(pair.norm) and uses[conv] == uses[norm] == 1 and norm not in found:
                found.add(norm)
                yield pair


def scale_and_offset(norm: Any) -> tuple[Tensor, Tensor]:
    """What `norm` does in evaluation: times the first, plus the second; each (C,)."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - norm.running_mean * scale


def _candidates(parent: nn.Module) -> Iterator[Pair]:
    if isinstance(parent, (Conv2d, ModulatedDeformConv)):
        if parent.norm is not None:
            yield Pair(parent, parent, "norm")
        return
    names = getattr(parent, "conv_norm_pairs", ())
    if isinstance(parent, nn.Sequential):
        names = itertools.pairwise(name for name, _ in parent.named_children())
    for conv_name, norm_name in names:
        conv = parent.get_submodule(conv_name)
        # A subclass may do more than convolve.
        if type(conv) in _CONVOLUTIONS:
            owner, _, name = norm_name.rpartition(".")
            yield Pair(conv, parent.get_submodule(owner), name)


def _is_known(norm: Any) -> bool:
    known = type(norm) in _NORMS or (isinstance(norm, _NORMS) and is_activated(norm))
    return known and norm.weight is not None and norm.running_var is not None


def _without(pair: Pair) -> nn.Module | None:
    """What takes the place of a folded norm."""
    if pair.owner is pair.conv:
        return None
    if is_activated(pair.norm):
        return nn.Sequential(pair.norm.drop, pair.norm.act)
    return nn.Identity()


@torch.no_grad()
def _fold(conv: Any, norm: Any) -> None:
    """Gives `conv` (weight (C, ..., k, k), bias (C,) or None) the weights of both."""
    # Double precision, so that nothing but the new weights themselves is rounded.
    scale, offset = scale_and_offset(copy.deepcopy(norm).double())
    if conv.bias is not None:
        offset += conv.bias.double() * scale
    weight = conv.weight.double() * scale[:, None, None, None]
    conv.weight = nn.Parameter(weight.to(conv.weight), requires_grad=False)
    conv.bias = nn.Parameter(offset.to(conv.weight), requires_grad=False)
