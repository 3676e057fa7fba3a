"""TensorFlow's padding "same", which depends on the size of the image, in a form that exports."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SamePaddedConv2d(nn.Conv2d):
    """A convolution that gives ceil(side / stride) cells, padded more at the end than before.

    Where the stride divides the side, as it does in every detector (its input is padded to the
    stride of the coarsest feature), the padding is one and the same for all sizes. Exported is only
    that: with the general rule torch.export reasons about each size without an end, and a trace
    would keep the numbers of one image.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        keeps_shapes_open = torch.compiler.is_exporting() or torch.jit.is_tracing()
        missing = (
            [0, 0] if keeps_shapes_open else [-x.shape[2 + i] % self.stride[i] for i in (0, 1)]
        )
        padding: list[int] = []
        for i in (1, 0):  # F.pad begins with the last dimension
            extent = (self.kernel_size[i] - 1) * self.dilation[i] + 1
            # A last step that does not fit whole needs that much more.
            total = max(extent - self.stride[i] + missing[i], 0)
            padding += [total // 2, total - total // 2]
        return super().forward(F.pad(x, padding))


def exchange_same_padding(model: nn.Module) -> None:
    """Makes timm's convolutions with this padding `SamePaddedConv2d`, with the same parameters."""
    for name, conv in list(model.named_modules()):
        # By its name, because timm may not be installed; its subclasses do more.
        if type(conv).__name__ == "Conv2dSame":
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, _like(conv))


def _like(conv: Any) -> SamePaddedConv2d:
    new = SamePaddedConv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        stride=conv.stride,
        dilation=conv.dilation,
        groups=conv.groups,
        bias=conv.bias is not None,
        device="meta",
    )
    new.weight, new.bias = conv.weight, conv.bias
    return new.train(conv.training)
