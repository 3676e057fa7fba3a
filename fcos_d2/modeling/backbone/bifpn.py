"""BiFPN: levels exchange information both ways, repeatedly, with learned weights."""

import itertools
import math
from typing import cast

import torch
import torch.nn.functional as F
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from detectron2.modeling.backbone import Backbone
from fvcore.nn.weight_init import c2_xavier_fill
from torch import Tensor, nn


class WeightedFusion(nn.Module):
    """A weighted mean of features, then a depthwise separable convolution.

    The weights are learned, at least 0, and divided by their sum ("fast normalised fusion").
    """

    def __init__(self, num_inputs: int, channels: int, norm: str) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(num_inputs))
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = Conv2d(
            channels, channels, 1, bias=norm == "", norm=get_norm(norm, channels)
        )
        nn.init.kaiming_normal_(self.depthwise.weight, nonlinearity="linear")
        c2_xavier_fill(self.pointwise)

    def forward(self, *features: Tensor) -> Tensor:
        """Tensors (N, C, H, W) of one size -> the same shape."""
        weights = self.weights.relu()
        weights = weights / (weights.sum() + 1e-4)
        mean = sum(weight * feature for weight, feature in zip(weights, features, strict=True))
        return self.pointwise(self.depthwise(F.silu(mean)))


class BiFPNLayer(nn.Module):
    """One way down to the finest level and one back up."""

    def __init__(self, num_levels: int, channels: int, norm: str) -> None:
        super().__init__()
        # Fusions of the way down, for levels 0 to L - 2, and of the way up, for 1 to L - 1. On the
        # way up the levels in between see three features: two come from the way down.
        self.down = nn.ModuleList(WeightedFusion(2, channels, norm) for _ in range(num_levels - 1))
        self.up = nn.ModuleList(
            WeightedFusion(2 if i == num_levels - 1 else 3, channels, norm)
            for i in range(1, num_levels)
        )

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """L tensors (N, C, Hi, Wi), finest first -> the same shapes."""
        middle = [levels[-1]]  # finest first
        for level, fusion in zip(reversed(levels[:-1]), reversed(self.down), strict=True):
            above = F.interpolate(middle[0], size=level.shape[-2:], mode="nearest")
            middle.insert(0, fusion(level, above))
        outputs = [middle[0]]
        for i, fusion in enumerate(self.up, start=1):
            below = F.max_pool2d(outputs[-1], kernel_size=3, stride=2, padding=1)
            both = (levels[i],) if i == len(levels) - 1 else (levels[i], middle[i])
            outputs.append(fusion(*both, below))
        return outputs


class BiFPN(Backbone):
    """Bidirectional feature pyramid on a body.

    Source: arXiv 1911.09070, section 3. Levels above the body's are made before the first layer,
    so they take part in all of them.
    """

    def __init__(
        self,
        bottom_up: Backbone,
        in_features: list[str],
        out_channels: int,
        norm: str = "BN",
        top_block: nn.Module | None = None,
        num_repeats: int = 3,
    ) -> None:
        """
        Args:
            bottom_up: the body.
            in_features: names of its features, finest first, each stride twice the one before.
            out_channels: C of all outputs.
            norm: after each convolution; "" for none.
            top_block: makes further levels, such as `TopLevels`; its feature p<i> is the
                projection of the body's.
            num_repeats: layers, one after the other.

        Raises:
            ValueError: strides that do not double, a single level, or no layer.
        """
        super().__init__()
        shapes = bottom_up.output_shape()
        strides = [shapes[name].stride for name in in_features]
        if any(b != 2 * a for a, b in itertools.pairwise(strides)):
            raise ValueError(f"strides of {in_features} must double, they are {strides}")
        stages = [int(math.log2(stride)) for stride in strides]
        for name, stage in zip(in_features, stages, strict=True):
            lateral = Conv2d(
                shapes[name].channels,
                out_channels,
                kernel_size=1,
                bias=norm == "",
                norm=get_norm(norm, out_channels),
            )
            c2_xavier_fill(lateral)
            self.add_module(f"fpn_lateral{stage}", lateral)
        num_top = 0 if top_block is None else cast(int, top_block.num_levels)
        stages += [stages[-1] + 1 + i for i in range(num_top)]
        if len(stages) < 2 or num_repeats < 1:
            raise ValueError(
                f"a BiFPN needs 2 levels and 1 layer, got {len(stages)} and {num_repeats}"
            )
        self.layers = nn.ModuleList(
            BiFPNLayer(len(stages), out_channels, norm) for _ in range(num_repeats)
        )
        self.top_block = top_block
        self.bottom_up = bottom_up
        self.in_features = list(in_features)
        self._out_features = [f"p{stage}" for stage in stages]
        self._out_feature_strides = {f"p{stage}": 2**stage for stage in stages}
        self._out_feature_channels = dict.fromkeys(self._out_features, out_channels)
        self._size_divisibility = strides[-1]

    @property
    def size_divisibility(self) -> int:
        return self._size_divisibility

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Images (N, 3, H, W) -> the levels by name, (N, C, Hi, Wi), finest first."""
        body = self.bottom_up(x)
        levels = {}
        for name, output in zip(self.in_features, self._out_features, strict=False):
            levels[output] = self.get_submodule(f"fpn_lateral{output[1:]}")(body[name])
        features = list(levels.values())
        if self.top_block is not None:
            features += self.top_block({**body, **levels}[self.top_block.in_feature])
        for layer in self.layers:
            features = layer(features)
        return dict(zip(self._out_features, features, strict=True))

    def output_shape(self) -> dict[str, ShapeSpec]:
        return {
            name: ShapeSpec(
                channels=self._out_feature_channels[name], stride=self._out_feature_strides[name]
            )
            for name in self._out_features
        }
