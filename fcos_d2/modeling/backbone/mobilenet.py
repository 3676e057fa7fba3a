"""MobileNetV2 (arXiv 1801.04381), with the parameter names of tonylins' published weights."""

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import Backbone
from fvcore.nn.weight_init import c2_msra_fill
from torch import Tensor, nn

from .body import body_norm, check_features, freeze

STEM_CHANNELS = 32
# Expansion, channels, blocks, stride: table 2 of the paper, without the last convolution.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# The last entry of `features` with each stride: 2, 4, 8, 16, 32.
_LAST = {"res1": 1, "res2": 3, "res3": 6, "res4": 13, "res5": 17}


class InvertedResidual(nn.Module):
    """Expands the channels, filters each of them, and projects them to few again."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, expansion: int, norm: str
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        expand = _conv_norm(in_channels, width, 1, 1, 1, norm) if expansion > 1 else []
        self.conv = nn.Sequential(
            *expand,
            *_conv_norm(width, width, 3, stride, width, norm),
            *_conv_norm(width, out_channels, 1, 1, 1, norm)[:2],  # no ReLU on few channels
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(Backbone):
    """MobileNetV2 without its last convolution and classifier."""

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_features: list[str],
        norm: str = "FrozenBN",
        freeze_at: int = 0,
    ) -> None:
        """
        Args:
            in_channels: of the image.
            out_features: names out of "res1" to "res5"; res<i> has stride 2 ** i.
            norm: "FrozenBN", "BN", "SyncBN" or "GN".
            freeze_at: everything up to res<freeze_at> stays as it is loaded; 0 or less freezes
                nothing.

        Raises:
            ValueError: unknown norm or feature.
        """
        super().__init__()
        check_features(out_features, [*_LAST], "MobileNetV2")
        stem = nn.Sequential(*_conv_norm(in_channels, STEM_CHANNELS, 3, 2, 1, norm))
        features: list[nn.Module] = [stem]
        channels, widths = STEM_CHANNELS, [STEM_CHANNELS]
        for expansion, out_channels, num_blocks, stride in _STAGES:
            for i in range(num_blocks):
                block_stride = stride if i == 0 else 1
                features.append(
                    InvertedResidual(channels, out_channels, block_stride, expansion, norm)
                )
                channels = out_channels
                widths.append(channels)
        last = max(_LAST[name] for name in out_features)
        self.features = nn.ModuleList(features[: last + 1])
        self._out_features = list(out_features)
        self._out_feature_channels = {name: widths[i] for name, i in _LAST.items()}
        self._out_feature_strides = {name: 2 ** int(name[3:]) for name in _LAST}
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                c2_msra_fill(module)
        if freeze_at > 0:
            for block in self.features[: _LAST[f"res{min(freeze_at, 5)}"] + 1]:
                freeze(block)

    @property
    def size_divisibility(self) -> int:
        return max(self._out_feature_strides[name] for name in self._out_features)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, in_channels, H, W) -> the features by name, (N, C, H / 2 ** i, W / 2 ** i)."""
        names = {i: name for name, i in _LAST.items()}
        features = {}
        for i, block in enumerate(self.features):
            x = block(x)
            if i in names:
                features[names[i]] = x
        return {name: features[name] for name in self._out_features}


def _conv_norm(
    in_channels: int, out_channels: int, kernel_size: int, stride: int, groups: int, norm: str
) -> list[nn.Module]:
    padding = kernel_size // 2
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False
    )
    return [conv, body_norm(norm, out_channels), nn.ReLU6()]


def build_mobilenetv2(cfg: CfgNode, input_shape: ShapeSpec) -> MobileNetV2:
    """The MobileNetV2 of MODEL.MOBILENETV2 and MODEL.BACKBONE.FREEZE_AT."""
    return MobileNetV2(
        in_channels=input_shape.channels,
        out_features=cfg.MODEL.MOBILENETV2.OUT_FEATURES,
        norm=cfg.MODEL.MOBILENETV2.NORM,
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
    )
