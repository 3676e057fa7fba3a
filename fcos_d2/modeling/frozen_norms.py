"""Frozen batch norms done by the convolutions before them, while these learn.

A frozen norm is a scale and an offset per channel. On the features they cost time and memory in
each step; on the weights, which are far fewer, next to nothing. So a convolution convolves with its
weights times the scale, and learns them as if the norm came after it.
"""

from functools import cache
from typing import Any

from detectron2.layers import Conv2d, FrozenBatchNorm2d
from torch import Tensor, nn

from .batch_norms import is_activated
from .folding import pairs_of, scale_and_offset
from .layers import ModulatedDeformConv


def absorb_frozen_norms(model: nn.Module) -> int:
    """Makes each convolution of `model` do the frozen norm after it, in place.

    Results and gradients stay the same up to rounding; so do parameters, buffers and their names.
    Which norms have such a convolution: see `pairs_of`.

    Args:
        model: that learns from now on; its norms stay frozen.

    Returns:
        How many norms it did this with.
    """
    pairs = [
        (pair.conv, pair.norm)
        for pair in pairs_of(model)
        if isinstance(pair.norm, FrozenBatchNorm2d)
        and not isinstance(pair.conv, ModulatedDeformConv)
    ]
    for conv, norm in pairs:
        conv.absorbed = (norm,)  # in a tuple, so that it is no second child with keys of its own
        conv.__class__ = _absorbing(conv.__class__)
        norm.__class__ = _absorbed(norm.__class__)
    return len(pairs)


@cache
def _absorbing(kind: type[nn.Conv2d]) -> type[nn.Conv2d]:
    """The convolution `kind` that does a norm."""

    def convolve(self: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        scale, offset = scale_and_offset(self.absorbed[0])
        if bias is not None:
            offset = offset + bias * scale
        return nn.Conv2d._conv_forward(self, x, weight * scale[:, None, None, None], offset)

    def forward(self: Any, x: Tensor) -> Tensor:
        """detectron2's has a forward of its own, which calls the norm."""
        x = nn.Conv2d.forward(self, x)
        return x if self.activation is None else self.activation(x)

    methods: dict[str, Any] = {"_conv_forward": convolve}
    if issubclass(kind, Conv2d):
        methods["forward"] = forward
    return type(f"Absorbing{kind.__name__}", (kind,), methods)


@cache
def _absorbed(kind: type[nn.Module]) -> type[nn.Module]:
    """The norm `kind` without what a convolution does for it."""

    def forward(self: Any, x: Tensor) -> Tensor:
        return self.act(self.drop(x)) if is_activated(self) else x

    return type(f"Absorbed{kind.__name__}", (kind,), {"forward": forward})
