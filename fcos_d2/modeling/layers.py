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
    """The kernel of a modulated deformable convolution on torchvision's operator.

    Parameter names and initialisation are detectron2's, whose class needs a compiled extension.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """Samples `x` (N, C, H, W) at shifted taps.

        Args:
            x: (N, C, H, W).
            offset: (N, 2 * k * k, H, W) cells, y before x for each tap.
            mask: (N, k * k, H, W) in [0, 1], the weight of each tap.

        Returns:
            (N, out_channels, H, W).
        """
        padding = self.weight.shape[-1] // 2
        # torchvision has no half-precision version for the CPU, so all of it runs in float32.
        with torch.autocast(x.device.type, enabled=False):
            inputs = (at_least_float32(t) for t in (x, offset, self.weight, self.bias, mask))
            x32, offset, weight, bias, mask = inputs
            out = torchvision.ops.deform_conv2d(
                x32, offset, weight, bias, padding=padding, mask=mask
            )
        return out.to(x.dtype)


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
