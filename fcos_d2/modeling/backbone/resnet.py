"""ResNets and ResNeXts, also with deformable convolutions (arXiv 1703.06211, 1811.11168).

detectron2's deformable blocks need its compiled extension; these run on torchvision's operator,
with the same parameter names.
"""

from detectron2.config import CfgNode
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from detectron2.modeling.backbone import Backbone, build_resnet_backbone
from detectron2.modeling.backbone.resnet import (
    BasicStem,
    BottleneckBlock,
    CNNBlockBase,
    ResNet,
)
from fvcore.nn.weight_init import c2_msra_fill
from torch import Tensor, nn

from ..layers import ModulatedDeformConv
from .body import check_features
from .mobilenet import build_mobilenetv2

_FEATURES = ["stem", "res2", "res3", "res4", "res5"]
# Blocks of res2 to res5; shallower ResNets have no bottleneck to put a deformable layer in.
_NUM_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class DeformBottleneckBlock(CNNBlockBase):
    """A bottleneck whose 3x3 convolution is deformable."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        bottleneck_channels: int,
        stride: int = 1,
        num_groups: int = 1,
        norm: str = "BN",
        stride_in_1x1: bool = False,
        dilation: int = 1,
        deform_modulated: bool = False,
        deform_num_groups: int = 1,
    ) -> None:
        """As detectron2's BottleneckBlock.

        Args:
            deform_modulated: each tap also gets a weight in [0, 1].
            deform_num_groups: groups of channels with offsets of their own.

        Raises:
            ValueError: groups that do not divide the channels.
        """
        if bottleneck_channels % deform_num_groups:
            raise ValueError(
                f"deform_num_groups must divide bottleneck_channels {bottleneck_channels}, "
                f"got {deform_num_groups}"
            )
        super().__init__(in_channels, out_channels, stride)
        width = bottleneck_channels
        stride_1x1, stride_3x3 = (stride, 1) if stride_in_1x1 else (1, stride)
        self.shortcut = None
        if in_channels != out_channels:
            self.shortcut = _conv_norm(in_channels, out_channels, stride, norm)
        self.conv1 = _conv_norm(in_channels, width, stride_1x1, norm)
        self.num_taps = deform_num_groups * 9
        self.modulated = deform_modulated
        self.conv2_offset = Conv2d(
            width,
            self.num_taps * (3 if deform_modulated else 2),
            kernel_size=3,
            stride=stride_3x3,
            padding=dilation,
            dilation=dilation,
        )
        # With offsets of 0 training starts from the ordinary convolution.
        nn.init.zeros_(self.conv2_offset.weight)
        nn.init.zeros_(self.conv2_offset.bias)
        self.conv2 = ModulatedDeformConv(
            width,
            width,
            stride=stride_3x3,
            dilation=dilation,
            groups=num_groups,
            bias=False,
            norm=get_norm(norm, width),
        )
        c2_msra_fill(self.conv2)
        self.conv3 = _conv_norm(width, out_channels, 1, norm)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""
        out = self.conv1(x).relu()
        prediction = self.conv2_offset(out)
        offset, mask = prediction[:, : 2 * self.num_taps], None
        if self.modulated:
            mask = prediction[:, 2 * self.num_taps :].sigmoid()
        out = self.conv3(self.conv2(out, offset, mask).relu())
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return (out + shortcut).relu()


def _conv_norm(in_channels: int, out_channels: int, stride: int, norm: str) -> Conv2d:
    """A 1x1 convolution and its norm."""
    conv = Conv2d(
        in_channels, out_channels, 1, stride, bias=False, norm=get_norm(norm, out_channels)
    )
    c2_msra_fill(conv)
    return conv


def make_bottleneck_stages(
    *,
    depth: int,
    deform_on_per_stage: tuple[bool, ...] | list[bool] = (False, False, False, False),
    deform_modulated: bool = False,
    deform_num_groups: int = 1,
    num_groups: int = 1,
    width_per_group: int = 64,
    in_channels: int = 64,
    out_channels: int = 256,
    norm: str = "FrozenBN",
    stride_in_1x1: bool = False,
    res5_dilation: int = 1,
) -> list[list[CNNBlockBase]]:
    """The stages res2 to res5 for detectron2's ResNet, of any width, some of them deformable.

    Args:
        depth: 50, 101 or 152.
        deform_on_per_stage: for res2 to res5, whether its blocks are deformable.
        deform_modulated, deform_num_groups: see `DeformBottleneckBlock`.
        num_groups, width_per_group: of the 3x3 convolutions; ResNeXt 32x8d has 32 and 8.
        in_channels: of the stem.
        out_channels: of res2; each further stage has twice as many.
        norm: a name of detectron2's norms.
        stride_in_1x1: the stride is in the first 1x1 convolution, not in the 3x3 one.
        res5_dilation: 1, or 2 for a res5 of stride 16.

    Raises:
        ValueError: a depth without bottlenecks, a list of another length, or another dilation.
    """
    _check_stages(depth, deform_on_per_stage, res5_dilation)
    stages, bottleneck_channels = [], num_groups * width_per_group
    for i, num_blocks in enumerate(_NUM_BLOCKS[depth]):
        dilation = res5_dilation if i == 3 else 1
        first_stride = 1 if i == 0 or dilation == 2 else 2
        options = {"deform_modulated": deform_modulated, "deform_num_groups": deform_num_groups}
        deformable = deform_on_per_stage[i]
        stages.append(
            ResNet.make_stage(
                DeformBottleneckBlock if deformable else BottleneckBlock,
                num_blocks,
                stride_per_block=[first_stride] + [1] * (num_blocks - 1),
                in_channels=in_channels,
                out_channels=out_channels,
                bottleneck_channels=bottleneck_channels,
                num_groups=num_groups,
                norm=norm,
                stride_in_1x1=stride_in_1x1,
                dilation=dilation,
                **(options if deformable else {}),
            )
        )
        in_channels, out_channels = out_channels, out_channels * 2
        bottleneck_channels *= 2
    return stages


def _check_stages(
    depth: int, deform_on_per_stage: tuple[bool, ...] | list[bool], res5_dilation: int
) -> None:
    if depth not in _NUM_BLOCKS:
        raise ValueError(
            f"depth must be one of {[*_NUM_BLOCKS]} for bottleneck blocks, got {depth}"
        )
    if len(deform_on_per_stage) != 4:
        raise ValueError(f"deform_on_per_stage needs 4 values, got {deform_on_per_stage}")
    if res5_dilation not in (1, 2):
        raise ValueError(f"res5_dilation must be 1 or 2, got {res5_dilation}")


def build_resnet(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """The ResNet of MODEL.RESNETS, or a MobileNetV2 with AdelaiDet's switch MODEL.MOBILENET.

    Raises:
        ValueError: settings that exist only in AdelaiDet, or features that a ResNet does not have.
    """
    resnets = cfg.MODEL.RESNETS
    if cfg.MODEL.MOBILENET:
        return build_mobilenetv2(cfg, input_shape)
    if resnets.DEFORM_INTERVAL != 1:
        raise ValueError(f"MODEL.RESNETS.DEFORM_INTERVAL must be 1, got {resnets.DEFORM_INTERVAL}")
    check_features(resnets.OUT_FEATURES, _FEATURES, "the ResNet of MODEL.RESNETS")
    if not any(resnets.DEFORM_ON_PER_STAGE):
        return build_resnet_backbone(cfg, input_shape)
    stages = make_bottleneck_stages(
        depth=resnets.DEPTH,
        deform_on_per_stage=resnets.DEFORM_ON_PER_STAGE,
        deform_modulated=resnets.DEFORM_MODULATED,
        deform_num_groups=resnets.DEFORM_NUM_GROUPS,
        num_groups=resnets.NUM_GROUPS,
        width_per_group=resnets.WIDTH_PER_GROUP,
        in_channels=resnets.STEM_OUT_CHANNELS,
        out_channels=resnets.RES2_OUT_CHANNELS,
        norm=resnets.NORM,
        stride_in_1x1=resnets.STRIDE_IN_1X1,
        res5_dilation=resnets.RES5_DILATION,
    )
    return ResNet(
        BasicStem(input_shape.channels, resnets.STEM_OUT_CHANNELS, norm=resnets.NORM),
        stages,
        out_features=resnets.OUT_FEATURES,
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
    )
