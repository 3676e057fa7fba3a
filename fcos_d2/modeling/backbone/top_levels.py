"""Levels above those of the body."""

import torch.nn.functional as F
from fvcore.nn.weight_init import c2_xavier_fill
from torch import Tensor, nn


class TopLevels(nn.Module):
    """P6, and P7 if asked for, by strided convolutions on a coarser feature.

    The interface is that of `top_block` in detectron2's FPN. P6 goes out before the ReLU that P7
    sees (arXiv 1904.01355, section 3.2).
    """

    def __init__(self, in_channels: int, out_channels: int, num_levels: int, in_feature: str):
        """
        Args:
            in_channels: of `in_feature`.
            out_channels: of the new levels.
            num_levels: 1 or 2.
            in_feature: name of the feature to start from: "p5", or a backbone output.
        """
        super().__init__()
        if num_levels not in (1, 2):
            raise ValueError(f"num_levels must be 1 or 2, got {num_levels}")
        self.num_levels = num_levels
        self.in_feature = in_feature
        self.p6 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=2, padding=1)
        c2_xavier_fill(self.p6)
        if num_levels == 2:
            self.p7 = nn.Conv2d(out_channels, out_channels, kernel_size=3, stride=2, padding=1)
            c2_xavier_fill(self.p7)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, in_channels, H, W) -> `num_levels` tensors, each half the size of the one before."""
        p6 = self.p6(x)
        return [p6] if self.num_levels == 1 else [p6, self.p7(F.relu(p6))]
