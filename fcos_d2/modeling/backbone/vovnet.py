"""VoVNet with effective squeeze-excitation (arXiv 1904.09730, 1911.06667).

Names, slashes included, follow the published weights, vovnet<n>_ese_detectron2.pth.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import Backbone
from fvcore.nn.weight_init import c2_msra_fill
from torch import Tensor, nn

from ...choices import check_choice
from .body import body_norm, check_features, freeze

STEM_CHANNELS = (64, 64, 128)


class _Spec(NamedTuple):
    """What tells the bodies apart, for stage 2 to 5."""

    inner_channels: tuple[int, ...]
    out_channels: tuple[int, ...]
    num_blocks: tuple[int, ...]
    num_layers: int  # 3x3 convolutions of a block


_INNER, _OUT = (128, 160, 192, 224), (256, 512, 768, 1024)
VOVNETS = {
    "V-19-slim-eSE": _Spec((64, 80, 96, 112), (112, 256, 384, 512), (1, 1, 1, 1), 3),
    "V-19-eSE": _Spec(_INNER, _OUT, (1, 1, 1, 1), 3),
    "V-39-eSE": _Spec(_INNER, _OUT, (1, 1, 2, 2), 5),
    "V-57-eSE": _Spec(_INNER, _OUT, (1, 1, 4, 3), 5),
    "V-99-eSE": _Spec(_INNER, _OUT, (1, 3, 9, 3), 5),
}


class ChannelAttention(nn.Module):
    """Effective squeeze-excitation: a weight in [0, 1] for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return x * F.hardsigmoid(self.fc(x.mean(dim=(2, 3), keepdim=True)))


class OneShotAggregation(nn.Module):
    """A chain of convolutions whose input and outputs are all aggregated at once, at its end."""

    def __init__(
        self,
        name: str,
        in_channels: int,
        inner_channels: int,
        out_channels: int,
        num_layers: int,
        norm: str,
        residual: bool,
    ) -> None:
        """
        Args:
            name: of the block, part of the parameter names.
            in_channels, inner_channels, out_channels: of the block.
            num_layers: 3x3 convolutions in the chain.
            norm: see `body_norm`.
            residual: add the input; needs in_channels == out_channels.
        """
        super().__init__()
        self.residual = residual
        widths = [in_channels] + [inner_channels] * num_layers
        self.layers = nn.ModuleList(
            _conv_norm(f"{name}_{i}", widths[i], inner_channels, 3, 1, norm)
            for i in range(num_layers)
        )
        self.concat = _conv_norm(f"{name}_concat", sum(widths), out_channels, 1, 1, norm)
        self.ese = ChannelAttention(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W)."""
        outputs = [x]
        for layer in self.layers:
            outputs.append(layer(outputs[-1]))
        aggregated = self.ese(self.concat(torch.cat(outputs, dim=1)))
        return aggregated + x if self.residual else aggregated


class VoVNet(Backbone):
    """VoVNet without its classifier."""

    layer_pattern = r"stem|stage\d\.[^.]+"  # whole aggregations, see `layer_lr_factors`

    def __init__(
        self,
        *,
        conv_body: str = "V-39-eSE",
        in_channels: int = 3,
        out_features: list[str],
        norm: str = "FrozenBN",
        freeze_at: int = 0,
    ) -> None:
        """
        Args:
            conv_body: one of VOVNETS.
            in_channels: of the image.
            out_features: names out of "stem" and "stage2" to "stage5"; stage<i> has stride 2 ** i,
                the stem 4.
            norm: "FrozenBN", "BN", "SyncBN" or "GN".
            freeze_at: 1 keeps the stem as it is loaded, n also the stages up to stage<n>; 0 or
                less freezes nothing.

        Raises:
            ValueError: unknown body, norm or feature.
        """
        super().__init__()
        check_choice("conv_body", conv_body, VOVNETS)
        names = ["stem", "stage2", "stage3", "stage4", "stage5"]
        check_features(out_features, names, conv_body)
        self.stem = _build_stem(in_channels, norm)
        self._out_feature_channels = {"stem": STEM_CHANNELS[-1]}
        self._out_feature_strides = {"stem": 4}
        last = max(names.index(name) for name in out_features)
        self.stage_names = names[1 : last + 1]
        channels = STEM_CHANNELS[-1]
        for i, name in enumerate(self.stage_names):
            self.add_module(name, _build_stage(VOVNETS[conv_body], i, channels, norm))
            channels = VOVNETS[conv_body].out_channels[i]
            self._out_feature_channels[name] = channels
            self._out_feature_strides[name] = 4 * 2**i
        self._out_features = list(out_features)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                c2_msra_fill(module)
        for name in names[: max(freeze_at, 0)]:
            if hasattr(self, name):
                freeze(self.get_submodule(name))

    @property
    def size_divisibility(self) -> int:
        return self._out_feature_strides[self.stage_names[-1]] if self.stage_names else 4

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, in_channels, H, W) -> the features by name, (N, C, H / stride, W / stride)."""
        features = {"stem": self.stem(x)}
        x = features["stem"]
        for name in self.stage_names:
            x = self.get_submodule(name)(x)
            features[name] = x
        return {name: features[name] for name in self._out_features}


def _build_stem(in_channels: int, norm: str) -> nn.Sequential:
    stem, widths = nn.Sequential(), (in_channels, *STEM_CHANNELS)
    for i, stride in enumerate((2, 1, 2)):
        layers = _conv_norm(f"stem_{i + 1}", widths[i], widths[i + 1], 3, stride, norm)
        for name, layer in layers.named_children():
            stem.add_module(name, layer)
    return stem


def _build_stage(spec: _Spec, index: int, in_channels: int, norm: str) -> nn.Sequential:
    stage = nn.Sequential()
    if index > 0:  # stage 2 keeps the stride of the stem
        stage.add_module("pool", nn.MaxPool2d(3, stride=2, ceil_mode=True))
    for i in range(spec.num_blocks[index]):
        name, out_channels = f"OSA{index + 2}_{i + 1}", spec.out_channels[index]
        block = OneShotAggregation(
            name,
            in_channels,
            spec.inner_channels[index],
            out_channels,
            spec.num_layers,
            norm,
            residual=i > 0,
        )
        stage.add_module(name, block)
        in_channels = out_channels
    return stage


def _conv_norm(
    name: str, in_channels: int, out_channels: int, kernel_size: int, stride: int, norm: str
) -> nn.Sequential:
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
    )
    layers = nn.Sequential()
    layers.add_module(f"{name}/conv", conv)
    layers.add_module(f"{name}/norm", body_norm(norm, out_channels))
    layers.add_module(f"{name}/relu", nn.ReLU())
    return layers


def build_vovnet(cfg: CfgNode, input_shape: ShapeSpec) -> VoVNet:
    """The VoVNet of MODEL.VOVNET and MODEL.BACKBONE.FREEZE_AT."""
    return VoVNet(
        conv_body=cfg.MODEL.VOVNET.CONV_BODY,
        in_channels=input_shape.channels,
        out_features=cfg.MODEL.VOVNET.OUT_FEATURES,
        norm=cfg.MODEL.VOVNET.NORM,
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
    )
