"""Layers of the head that detectron2 does not have."""

import torch
import torchvision
from torch import Tensor, nn


def at_least_float32(x: Tensor) -> Tensor:
    """`x` in float32 where it came in half precision; float32 and float64 stay as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


class Scale(nn.Module):
    """Multiplies by one learned number; the head has one per level (arXiv 1904.01355, sec. 3.2)."""

    def __init__(self, init_value: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([init_value]))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class PerLevelNorm(nn.ModuleList):
    """One normalisation layer per level, for heads whose convolutions all levels share.

    Batch statistics of the levels differ, so a shared BatchNorm would fit none of them. The caller
    names the level; nothing is counted.
    """

    def forward(self, x: Tensor, level: int) -> Tensor:
        """Normalises `x` (N, C, Hi, Wi) with the layer of `level` in [0, L)."""
        return self[level](x)


class ModulatedDeformConv(nn.Module):
    """The kernel of a deformable convolution, modulated or not, on torchvision's operator.

    Parameter names and initialisation are detectron2's, whose class needs a compiled extension.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        norm: nn.Module | None = None,
    ) -> None:
        """As torch's Conv2d, with the padding that keeps the size; `norm` follows."""
        super().__init__()
        shape = (out_channels, in_channels // groups, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.stride = stride
        self.dilation = dilation
        self.norm = norm
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor | None) -> Tensor:
        """Samples `x` (N, C, H, W) at shifted taps.

        Args:
            x: (N, C, H, W).
            offset: (N, 2 * groups * k * k, H', W') cells, y before x for each tap; as many groups
                of channels as there are have offsets of their own.
            mask: (N, groups * k * k, H', W') in [0, 1], the weight of each tap; None: all are 1.

        Returns:
            (N, out_channels, H', W') with H' = H / stride.
        """
        padding = self.dilation * (self.weight.shape[-1] // 2)
        # torchvision has no half-precision version for the CPU, so all of it runs in float32.
        with torch.autocast(x.device.type, enabled=False):
            bias = None if self.bias is None else at_least_float32(self.bias)
            out = torchvision.ops.deform_conv2d(
                at_least_float32(x),
                at_least_float32(offset),
                at_least_float32(self.weight),
                bias,
                stride=self.stride,
                padding=padding,
                dilation=self.dilation,
                mask=None if mask is None else at_least_float32(mask),
            )
        out = out.to(x.dtype)
        return out if self.norm is None else self.norm(out)


class DeformConv(nn.Module):
    """3x3 modulated deformable convolution with its own offset predictor (arXiv 1811.11168)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.offset = nn.Conv2d(in_channels, 3 * 9, kernel_size=3, padding=1)
        self.conv = ModulatedDeformConv(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W)."""
        prediction = self.offset(x)
        offset, mask = prediction[:, :18], prediction[:, 18:].sigmoid()
        return self.conv(x, offset, mask)
