"""Deep layer aggregation, DLA-34: the body of FCOS-RT (arXiv 1707.06484).

Names follow the published ImageNet weights, dla34-ba72cf86.pth.
"""

import math

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import Backbone
from torch import Tensor, nn

from ...choices import check_choice
from .body import body_norm, check_features, freeze

# Channels, and depth of the tree, of level 0, 1, ...; the first two levels are plain convolutions.
_LEVELS = {"DLA34": ((16, 0), (32, 0), (64, 1), (128, 2), (256, 2), (512, 1))}


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut that the caller gives."""

    conv_norm_pairs = (("conv1", "bn1"), ("conv2", "bn2"))  # see `fold_batch_norms`

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = body_norm(norm, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = body_norm(norm, out_channels)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride), as `shortcut`."""
        x = self.bn1(self.conv1(x)).relu_()
        return (self.bn2(self.conv2(x)) + shortcut).relu_()


class Root(nn.Module):
    """Aggregates the features of a tree: they are stacked and mixed by a 1x1 convolution."""

    conv_norm_pairs = (("conv", "bn"),)

    def __init__(self, in_channels: int, out_channels: int, norm: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = body_norm(norm, out_channels)

    def forward(self, *features: Tensor) -> Tensor:
        """Tensors (N, ..., H, W) of one size -> (N, out_channels, H, W)."""
        return self.bn(self.conv(torch.cat(features, dim=1))).relu_()


class Tree(nn.Module):
    """Hierarchical aggregation: two subtrees, or two blocks and the root that joins them.

    The root of the last blocks also sees what the trees above gathered on the way down.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        depth: int,
        stride: int,
        norm: str,
        gather_input: bool = False,
        gathered_channels: int = 0,
    ) -> None:
        """
        Args:
            in_channels, out_channels: of the tree.
            depth: 1 for two blocks and a root; more for two trees of one less.
            stride: 1 or 2, of the first convolution.
            norm: see `body_norm`.
            gather_input: the root sees the (downsampled) input of this tree, too.
            gathered_channels: of what the trees above gathered.
        """
        super().__init__()
        self.depth = depth
        self.gather_input = gather_input
        gathered_channels += in_channels if gather_input else 0
        self.tree1: Block | Tree
        self.tree2: Block | Tree
        if depth == 1:
            self.tree1 = Block(in_channels, out_channels, stride, norm)
            self.tree2 = Block(out_channels, out_channels, 1, norm)
            self.root = Root(2 * out_channels + gathered_channels, out_channels, norm)
        else:
            gathered_channels += out_channels
            self.tree1 = Tree(in_channels, out_channels, depth - 1, stride, norm)
            self.tree2 = Tree(
                out_channels, out_channels, depth - 1, 1, norm, gathered_channels=gathered_channels
            )
        self.downsample = nn.MaxPool2d(stride) if stride > 1 else nn.Identity()
        self.project = None
        if in_channels != out_channels:
            conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
            self.project = nn.Sequential(conv, body_norm(norm, out_channels))
        if depth > 1 and self.project is not None:
            # The published weights have it although nothing uses it.
            self.project.requires_grad_(False)

    def forward(self, x: Tensor, *gathered: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""
        bottom = self.downsample(x)
        if self.gather_input:
            gathered = (*gathered, bottom)
        if self.depth > 1:
            if self.training and self.project is not None:
                with torch.no_grad():
                    self.project(bottom)  # for its statistics, which belong to the published files
            first = self.tree1(x)
            return self.tree2(first, *gathered, first)
        first = self.tree1(x, bottom if self.project is None else self.project(bottom))
        second = self.tree2(first, first)
        return self.root(second, first, *gathered)


class DLA(Backbone):
    """DLA-34 without its classifier, up to the last level that is asked for."""

    layer_pattern = r"base_layer|level\d"  # whole trees, see `layer_lr_factors`

    def __init__(
        self,
        *,
        conv_body: str = "DLA34",
        in_channels: int = 3,
        out_features: list[str],
        norm: str = "FrozenBN",
        freeze_at: int = 0,
    ) -> None:
        """
        Args:
            conv_body: "DLA34".
            in_channels: of the image.
            out_features: names out of "level0" to "level5"; level<i> has stride 2 ** i.
            norm: "FrozenBN", "BN", "SyncBN" or "GN".
            freeze_at: level<freeze_at> and all that comes before it stay as they are loaded;
                0 or less freezes nothing.

        Raises:
            ValueError: unknown body, norm or feature.
        """
        super().__init__()
        check_choice("conv_body", conv_body, _LEVELS)
        all_levels = _LEVELS[conv_body]
        check_features(out_features, [f"level{i}" for i in range(len(all_levels))], conv_body)
        self.num_levels = 1 + max(int(name.removeprefix("level")) for name in out_features)
        levels = all_levels[: self.num_levels]
        channels = levels[0][0]
        self.base_layer = _conv_norm(in_channels, channels, 7, 1, norm)
        for i, (out_channels, depth) in enumerate(levels):
            stride = 1 if i == 0 else 2
            self.add_module(
                f"level{i}",
                Tree(channels, out_channels, depth, stride, norm, gather_input=i > 2)
                if depth
                else _conv_norm(channels, out_channels, 3, stride, norm),
            )
            channels = out_channels
        self._out_features = list(out_features)
        self._out_feature_strides = {f"level{i}": 2**i for i in range(len(levels))}
        self._out_feature_channels = {f"level{i}": c for i, (c, _) in enumerate(levels)}
        self._init_weights()
        if freeze_at > 0:
            freeze(self.base_layer)
            for i in range(min(freeze_at + 1, len(levels))):
                freeze(self.get_submodule(f"level{i}"))

    def _init_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))

    @property
    def size_divisibility(self) -> int:
        return 2 ** (self.num_levels - 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, in_channels, H, W) -> the features by name, (N, C, H / 2 ** i, W / 2 ** i)."""
        features = {}
        x = self.base_layer(x)
        for i in range(self.num_levels):
            x = self.get_submodule(f"level{i}")(x)
            features[f"level{i}"] = x
        return {name: features[name] for name in self._out_features}


def _conv_norm(
    in_channels: int, out_channels: int, kernel_size: int, stride: int, norm: str
) -> nn.Sequential:
    padding = kernel_size // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False),
        body_norm(norm, out_channels),
        nn.ReLU(inplace=True),
    )


def build_dla(cfg: CfgNode, input_shape: ShapeSpec) -> DLA:
    """The DLA of MODEL.DLA and MODEL.BACKBONE.FREEZE_AT; AdelaiDet's stage<i> means level<i>."""
    dla = cfg.MODEL.DLA
    return DLA(
        conv_body=dla.CONV_BODY,
        in_channels=input_shape.channels,
        out_features=[name.replace("stage", "level") for name in dla.OUT_FEATURES],
        norm=dla.NORM,
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
    )
