"""The head: towers of convolutions and three predictors, shared by all levels."""

import math
from typing import NamedTuple

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec, get_norm
from torch import Tensor, nn

from ..choices import check_choice
from .layers import DeformConv, PerLevelNorm, Scale, at_least_float32

HEAD_NORMS = ("GN", "BN", "SyncBN", "none")
MAX_LOG_DISTANCE = 16.0  # e^16 strides is farther than any image reaches


class HeadOutputs(NamedTuple):
    """Predictions of all levels: lists of L tensors."""

    cls_logits: list[Tensor]  # (N, K, Hi, Wi)
    ltrb_in_strides: list[Tensor]  # (N, 4, Hi, Wi) >= 0
    quality_logits: list[Tensor]  # (N, 1, Hi, Wi), centerness or IoU; no tensors without the branch
    box_features: list[Tensor]  # (N, C, Hi, Wi), the last features of the box branch

    def flattened(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Class logits (N, R, K), distances (N, R, 4) and quality logits (N, R), if any."""

        def joined(levels: list[Tensor]) -> Tensor:
            return torch.cat([x.flatten(2).transpose(1, 2) for x in levels], dim=1)

        quality_logits = joined(self.quality_logits)[..., 0] if self.quality_logits else None
        return joined(self.cls_logits), joined(self.ltrb_in_strides), quality_logits

    def at_least_float32(self) -> "HeadOutputs":
        """Half-precision predictions in float32; the features stay as they are."""
        predictions = [[at_least_float32(x) for x in field] for field in self[:3]]
        return HeadOutputs._make([*predictions, self.box_features])

    def of_image(self, index: int) -> "HeadOutputs":
        """Those of one image as (Hi * Wi, K), (Hi * Wi, 4), (Hi * Wi,) and (Hi * Wi, C)."""
        fields = HeadOutputs._make([x[index].flatten(1).T for x in field] for field in self)
        return fields._replace(quality_logits=[x[:, 0] for x in fields.quality_logits])


class Tower(nn.ModuleList):
    """Convolution, norm and ReLU in turn; the input keeps its shape."""

    def forward(self, x: Tensor, level: int) -> Tensor:
        """(N, C, Hi, Wi) of level `level` -> the same shape."""
        for layer in self:
            x = layer(x, level) if isinstance(layer, PerLevelNorm) else layer(x)
        return x


def build_tower(
    channels: int, num_convs: int, norm: str, num_levels: int, deformable_last_conv: bool
) -> Tower:
    """A tower of `num_convs` 3x3 convolutions, each followed by its norm and a ReLU."""
    tower = Tower()
    for i in range(num_convs):
        deformable = deformable_last_conv and i == num_convs - 1
        conv = DeformConv(channels, channels) if deformable else _conv3x3(channels, channels)
        tower.append(conv)
        if norm == "GN":
            tower.append(nn.GroupNorm(32, channels))
        elif norm != "none":
            tower.append(PerLevelNorm(get_norm(norm, channels) for _ in range(num_levels)))
        # In place: the gradients of norms and convolutions need their inputs, not this.
        tower.append(nn.ReLU(inplace=True))
    return tower


def _conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)


def level_shapes(
    input_shape: dict[str, ShapeSpec], in_features: list[str], strides: list[int]
) -> list[ShapeSpec]:
    """The backbone outputs that the head reads, checked against the strides of the config.

    Args:
        input_shape: all outputs of the backbone by name.
        in_features: L names, finest first.
        strides: L strides that the config states, px.

    Returns:
        L shapes.

    Raises:
        ValueError: an output is missing or has another stride.
    """
    missing = [name for name in in_features if name not in input_shape]
    if missing:
        raise ValueError(
            f"MODEL.FCOS.IN_FEATURES names {missing}, but the backbone gives {list(input_shape)}"
        )
    shapes = [input_shape[name] for name in in_features]
    if [shape.stride for shape in shapes] != list(strides):
        raise ValueError(
            f"MODEL.FCOS.FPN_STRIDES is {list(strides)}, but {list(in_features)} of the backbone "
            f"have strides {[shape.stride for shape in shapes]}"
        )
    return shapes


class FCOSHead(nn.Module):
    """Class scores, distances to the box sides and box quality for every location.

    Attribute names follow the released checkpoints, hence `ctrness` and `share_tower`.
    """

    @configurable
    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        num_levels: int,
        num_cls_convs: int = 4,
        num_box_convs: int = 4,
        num_share_convs: int = 0,
        norm: str = "GN",
        use_scale: bool = True,
        relu_regression: bool = True,
        deformable_last_conv: bool = False,
        quality_branch: bool = True,
        quality_on_box_branch: bool = True,
        pixel_strides: list[int] | None = None,
        prior_prob: float = 0.01,
        box_bias_init: float = 0.0,
    ) -> None:
        """
        Args:
            in_channels: C of every level; the towers keep it.
            num_classes: K.
            num_levels: L.
            num_cls_convs, num_box_convs: convolutions of the two private towers.
            num_share_convs: convolutions of a tower that runs before both.
            norm: "GN" (32 groups, shared by the levels), "BN", "SyncBN" (one per level) or "none".
            use_scale: multiply the regression of each level by a learned number.
            relu_regression: distances are relu(x); False: exp(x).
            deformable_last_conv: the last convolution of each private tower is deformable.
            quality_branch: predict a quality of each box.
            quality_on_box_branch: where the quality predictor sits; False: the class branch.
            pixel_strides: the regression layer predicts px, as in the first FCOS, and is divided by
                these L strides; None: it predicts strides.
            prior_prob: class probability that an untrained head gives, in (0, 1).
            box_bias_init: bias of the untrained regression layer; with ReLU, distances start there.

        Raises:
            ValueError: no class, unknown `norm`, or channels that 32 groups do not divide.
        """
        super().__init__()
        if num_classes < 1:
            raise ValueError(
                f"num_classes (MODEL.FCOS.NUM_CLASSES) must be at least 1, got {num_classes}"
            )
        check_choice("norm", norm, HEAD_NORMS)
        if norm == "GN" and in_channels % 32:
            raise ValueError(f'norm "GN" needs channels divisible by 32, got {in_channels}')
        self.num_classes = num_classes
        self.num_levels = num_levels
        self.relu_regression = relu_regression
        self.quality_branch = quality_branch
        self.quality_on_box_branch = quality_on_box_branch
        self.pixel_strides = pixel_strides
        deformable = deformable_last_conv
        self.cls_tower = build_tower(in_channels, num_cls_convs, norm, num_levels, deformable)
        self.bbox_tower = build_tower(in_channels, num_box_convs, norm, num_levels, deformable)
        self.share_tower = build_tower(in_channels, num_share_convs, norm, num_levels, False)
        self.cls_logits = _conv3x3(in_channels, num_classes)
        self.bbox_pred = _conv3x3(in_channels, 4)
        if quality_branch:
            self.ctrness = _conv3x3(in_channels, 1)
        self.scales = nn.ModuleList(
            Scale() if use_scale else nn.Identity() for _ in range(num_levels)
        )
        self._init_weights(prior_prob, box_bias_init)

    @property
    def regresses_pixels(self) -> bool:
        """Whether the regression layer predicts px and not strides."""
        return self.pixel_strides is not None

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: list[ShapeSpec]) -> dict:
        fcos = cfg.MODEL.FCOS
        return {
            "in_channels": input_shape[0].channels,
            "num_classes": fcos.NUM_CLASSES,
            "num_levels": len(input_shape),
            "num_cls_convs": fcos.NUM_CLS_CONVS,
            "num_box_convs": fcos.NUM_BOX_CONVS,
            "num_share_convs": fcos.NUM_SHARE_CONVS,
            "norm": fcos.NORM,
            "use_scale": fcos.USE_SCALE,
            "relu_regression": fcos.USE_RELU,
            "deformable_last_conv": fcos.USE_DEFORMABLE,
            "quality_branch": fcos.BOX_QUALITY != "none",
            "quality_on_box_branch": fcos.CENTERNESS_ON_REG,
            "pixel_strides": None if fcos.NORM_REG_TARGETS else [x.stride for x in input_shape],
            "prior_prob": fcos.PRIOR_PROB,
            "box_bias_init": fcos.BOX_BIAS_INIT,
        }

    def _init_weights(self, prior_prob: float, box_bias_init: float) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        # A rare-class prior keeps the first focal losses small (arXiv 1708.02002, section 3.3).
        bias = -math.log((1 - prior_prob) / prior_prob)
        nn.init.constant_(self.cls_logits.get_parameter("bias"), bias)
        nn.init.constant_(self.bbox_pred.get_parameter("bias"), box_bias_init)

    def forward(self, features: list[Tensor]) -> HeadOutputs:
        """
        Args:
            features: L tensors (N, C, Hi, Wi), finest level first.

        Returns:
            HeadOutputs of L tensors each.
        """
        levels = [self._forward_level(x, level) for level, x in enumerate(features)]
        return HeadOutputs(
            *([x for x in field if x is not None] for field in zip(*levels, strict=True))
        )

    def _forward_level(self, x: Tensor, level: int) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        x = self.share_tower(x, level)
        cls_features = self.cls_tower(x, level)
        box_features = self.bbox_tower(x, level)
        distances = self.scales[level](self.bbox_pred(box_features))
        if self.relu_regression:
            distances = distances.relu()
        else:
            # Half precision ends at e^11 strides, and an infinite box would stop the clipping.
            distances = at_least_float32(distances).clamp(max=MAX_LOG_DISTANCE).exp()
        if self.pixel_strides is not None:
            distances = distances / self.pixel_strides[level]
        quality_features = box_features if self.quality_on_box_branch else cls_features
        return (
            self.cls_logits(cls_features),
            distances,
            self.ctrness(quality_features) if self.quality_branch else None,
            box_features,
        )
