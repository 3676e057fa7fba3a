"""Feature pyramids on a ResNet, with none, one or two levels on top of P5."""

import torch.nn.functional as F
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone import FPN, build_resnet_backbone
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


def build_top_levels(channels: int, num_levels: int) -> TopLevels | None:
    """`num_levels` (0, 1 or 2) levels on P5; None for 0."""
    return TopLevels(channels, channels, num_levels, "p5") if num_levels else None


@BACKBONE_REGISTRY.register()
def build_fcos_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """ResNet with FPN and MODEL.FCOS.TOP_LEVELS extra levels; the name is AdelaiDet's."""
    channels = cfg.MODEL.FPN.OUT_CHANNELS
    return FPN(
        bottom_up=build_resnet_backbone(cfg, input_shape),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=channels,
        norm=cfg.MODEL.FPN.NORM,
        top_block=build_top_levels(channels, cfg.MODEL.FCOS.TOP_LEVELS),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
