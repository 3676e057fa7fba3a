"""Path aggregation: a feature pyramid with a second path, from fine to coarse."""

import torch.nn.functional as F
from detectron2.layers import Conv2d, get_norm
from detectron2.modeling.backbone import FPN, Backbone
from fvcore.nn.weight_init import c2_msra_fill
from torch import Tensor, nn


class PAFPN(FPN):
    """detectron2's FPN, whose outputs then pass information from fine to coarse levels.

    N3 is P3; N[i + 1] is made of N[i], halved by a convolution, and P[i + 1]. The parameters that
    it has in common with FPN have the same names.

    Source: arXiv 1803.01534, section 3.1.
    """

    def __init__(
        self,
        bottom_up: Backbone,
        in_features: list[str],
        out_channels: int,
        norm: str = "",
        top_block: nn.Module | None = None,
        fuse_type: str = "sum",
    ) -> None:
        """
        Args:
            bottom_up: the body.
            in_features: names of its features, finest first, each stride twice the one before.
            out_channels: C of all outputs.
            norm: after each convolution; "" for none.
            top_block: makes further levels, such as `TopLevels`; its feature p<i> is the output
                N<i>.
            fuse_type: "sum" or "avg" of the two features that meet.

        Raises:
            ValueError: another fuse_type.
        """
        if fuse_type not in ("sum", "avg"):
            raise ValueError(f'fuse_type must be "sum" or "avg", got {fuse_type!r}')
        super().__init__(bottom_up, in_features, out_channels, norm, top_block, fuse_type)
        self.downsampling, self.path_outputs = nn.ModuleList(), nn.ModuleList()
        for _ in in_features[1:]:
            self.downsampling.append(_conv3x3(out_channels, 2, norm))
            self.path_outputs.append(_conv3x3(out_channels, 1, norm))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Images (N, 3, H, W) -> the levels by name, (N, C, Hi, Wi), finest first."""
        body = self.bottom_up(x)
        levels = self._aggregate_path(self._top_down([body[name] for name in self.in_features]))
        if self.top_block is not None:
            name = self.top_block.in_feature
            start = body[name] if name in body else levels[self._out_features.index(name)]
            levels = [*levels, *self.top_block(start)]
        return dict(zip(self._out_features, levels, strict=True))

    def _top_down(self, features: list[Tensor]) -> list[Tensor]:
        """FPN itself: features and result finest first."""
        levels: list[Tensor] = []
        above = None
        for feature, lateral, output in zip(
            reversed(features), self.lateral_convs, self.output_convs, strict=True
        ):
            inner = lateral(feature)
            if above is not None:
                inner = self._fuse(inner, F.interpolate(above, scale_factor=2.0, mode="nearest"))
            levels.insert(0, output(inner))
            above = inner
        return levels

    def _aggregate_path(self, levels: list[Tensor]) -> list[Tensor]:
        path = [levels[0]]
        for level, down, output in zip(
            levels[1:], self.downsampling, self.path_outputs, strict=True
        ):
            fused = self._fuse(level, F.relu(down(path[-1])))
            path.append(F.relu(output(fused)))
        return path

    def _fuse(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b if self._fuse_type == "sum" else (a + b) / 2


def _conv3x3(channels: int, stride: int, norm: str) -> Conv2d:
    conv = Conv2d(
        channels,
        channels,
        kernel_size=3,
        stride=stride,
        padding=1,
        bias=norm == "",
        norm=get_norm(norm, channels),
    )
    c2_msra_fill(conv)
    return conv
