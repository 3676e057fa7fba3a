"""Untrained detectors that find a lot, with scores far apart."""

import torch
from conftest import TinyBackbone
from torch import Tensor, nn

from fcos_d2.modeling import FCOS, FCOSHead, FCOSProposalGenerator


def confident(model: FCOS, bias: float = -2.0, spread: float = 1.5) -> FCOS:
    """Gives the predictors of a detector weights by which a share of the locations finds much."""
    generator = torch.Generator().manual_seed(3)
    head = model.proposal_generator.fcos_head
    with torch.no_grad():
        for name, predictor in head.named_modules():
            if isinstance(predictor, nn.Conv2d) and "tower" not in name:
                fan_in = predictor.weight[0].numel() ** 0.5
                predictor.weight.normal_(0, spread / fan_in, generator=generator)
        head.cls_logits.bias.fill_(bias)
        head.bbox_pred.bias.fill_(2.0)
    return model.eval()


def tiny_detector(backbone: TinyBackbone, quality: str = "ctrness", **options: object) -> FCOS:
    """Three classes on two levels, always of the same weights; `options` are of the proposal
    generator."""
    torch.manual_seed(0)
    backbone.p3.reset_parameters()
    backbone.p4.reset_parameters()
    head = FCOSHead(
        in_channels=32,
        num_classes=3,
        num_levels=2,
        num_cls_convs=1,
        num_box_convs=1,
        quality_branch=quality != "none",
    )
    losses = {} if quality != "none" else {"cls_loss": "quality_focal"}
    generator = FCOSProposalGenerator(
        head=head,
        num_classes=3,
        in_features=["p3", "p4"],
        strides=[8, 16],
        size_bounds=[32],
        box_quality=quality,
        **losses,
        **options,
    )
    model = FCOS(
        backbone=backbone,
        proposal_generator=generator,
        pixel_mean=[100.0, 110.0, 120.0],
        pixel_std=[50.0, 51.0, 52.0],
    )
    return confident(model, bias=0.0, spread=3.0)


def pictures(*sizes: tuple[int, int]) -> list[Tensor]:
    """Images (3, h, w) uint8 of large random squares."""
    generator = torch.Generator().manual_seed(5)
    images = []
    for height, width in sizes:
        cells = torch.rand(1, 3, height // 8 + 1, width // 8 + 1, generator=generator)
        image = nn.functional.interpolate(cells, scale_factor=8)[0, :, :height, :width]
        images.append((255 * image).byte())
    return images
