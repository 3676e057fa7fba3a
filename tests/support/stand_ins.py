"""Small parts in the place of real ones."""

from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import Backbone
from parts import generator_of
from torch import Tensor, nn

from fcos_d2.modeling import FCOS, FCOSHead, FCOSProposalGenerator


class TinyBackbone(Backbone):
    """Levels p3 and p4 of strides 8 and 16 with 32 channels, from one convolution each."""

    def __init__(self) -> None:
        super().__init__()
        self.p3 = nn.Conv2d(3, 32, kernel_size=8, stride=8)
        self.p4 = nn.Conv2d(3, 32, kernel_size=16, stride=16)

    @property
    def size_divisibility(self) -> int:
        return 16

    def output_shape(self) -> dict[str, ShapeSpec]:
        return {"p3": ShapeSpec(channels=32, stride=8), "p4": ShapeSpec(channels=32, stride=16)}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"p3": self.p3(images).relu(), "p4": self.p4(images).relu()}


class NoHead(nn.Module):
    """In the place of a head where none is called."""

    num_classes, num_levels, quality_branch = 2, 2, True


def headless_generator(**options: object) -> FCOSProposalGenerator:
    """Levels of stride 8 and 16 that meet at 16 px."""
    levels = {"in_features": ["p3", "p4"], "strides": [8, 16]}
    return generator_of(NoHead(), [16], **levels, **options)


def three_class_detector(
    backbone: Backbone, head_options: dict | None = None, **options: object
) -> FCOS:
    """On the levels of `TinyBackbone`; `options` are those of `generator_of`."""
    head = FCOSHead(
        in_channels=32,
        num_classes=3,
        num_levels=2,
        num_cls_convs=1,
        num_box_convs=1,
        **(head_options or {}),
    )
    levels = {"in_features": ["p3", "p4"], "strides": [8, 16]}
    generator = generator_of(head, [32], **levels, **options)
    return FCOS(
        backbone=backbone,
        proposal_generator=generator,
        pixel_mean=[100.0, 110.0, 120.0],
        pixel_std=[50.0, 51.0, 52.0],
    )
