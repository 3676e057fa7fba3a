"""Untrained detectors that find a lot, with scores far apart."""

import torch
from detectron2.structures import ImageList
from stand_ins import TinyBackbone, three_class_detector
from torch import Tensor, nn

from fcos_d2.modeling import FCOS
from fcos_d2.modeling.head import HeadOutputs


def confident(model: FCOS, bias: float = -2.0, spread: float = 1.5) -> FCOS:
    """Gives the predictors of a detector weights by which a share of the locations finds much."""
    generator = torch.Generator().manual_seed(3)
    head = model.proposal_generator.fcos_head
    with torch.no_grad():
        for name, conv in head.named_modules():
            if isinstance(conv, nn.Conv2d):
                # Towers keep the size of what goes through, with any norm.
                gain = 2**0.5 if "tower" in name else spread
                gain /= conv.weight[0].numel() ** 0.5
                conv.weight.normal_(0, gain, generator=generator)
        head.cls_logits.bias.fill_(bias)
        head.bbox_pred.bias.fill_(2.0)
    return model.eval()


@torch.no_grad()
def calm(model: FCOS, image: Tensor) -> FCOS:
    """Scales the predictors to logits that neither saturate nor tie on the image.

    Beside an image, where locations look alike and their scores tie, little is found.
    """
    generator = model.proposal_generator
    head = generator.fcos_head

    def outputs(x: Tensor) -> HeadOutputs:
        features = model.backbone(x)
        return head([features[name] for name in generator.in_features])

    x = (image - model.pixel_mean) / model.pixel_std
    x = ImageList.from_tensors([x], model.backbone.size_divisibility).tensor
    found, beside = outputs(x), outputs(torch.zeros_like(x))
    cls_logits = [
        a - b.mean(dim=(2, 3), keepdim=True)
        for a, b in zip(found.cls_logits, beside.cls_logits, strict=True)
    ]
    scaled = [(head.cls_logits, cls_logits, 3.0), (head.bbox_pred, found.ltrb_in_strides, 1.5)]
    if head.quality_branch:
        scaled.append((head.ctrness, found.quality_logits, 1.5))
    for predictor, levels, spread in scaled:
        predictor.weight.mul_(spread / torch.cat([level.flatten() for level in levels]).std())
    beside = torch.stack([x[0].flatten(1).median(1)[0] for x in outputs(x * 0).cls_logits])
    head.cls_logits.bias.sub_(beside.amax(dim=0) + 3.5)
    return model


class UnevenBackbone(TinyBackbone):
    """No two places of its features are alike, or scores beside the images would tie."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = super().forward(images)
        for name, x in features.items():
            ones = torch.ones_like(x)
            features[name] = (
                x + (ones.cumsum(1) + 1.7 * ones.cumsum(2) + 2.9 * ones.cumsum(3)).sin()
            )
        return features


def tiny_detector(quality: str = "ctrness", **options: object) -> FCOS:
    """Three classes on two levels, always of the same weights; `options` are those of
    `generator_of`.
    """
    torch.manual_seed(0)
    head_options = {"quality_branch": quality != "none"}
    options |= {"cls_loss": "quality_focal"} if quality == "none" else {"box_quality": quality}
    model = three_class_detector(UnevenBackbone(), head_options, **options)
    return calm(confident(model, bias=0.0), pictures((64, 96))[0])


def pictures(*sizes: tuple[int, int]) -> list[Tensor]:
    """Images (3, h, w) uint8 of large random squares."""
    generator = torch.Generator().manual_seed(5)
    images = []
    for height, width in sizes:
        cells = torch.rand(1, 3, height // 8 + 1, width // 8 + 1, generator=generator)
        image = nn.functional.interpolate(cells, scale_factor=8)[0, :, :height, :width]
        images.append((255 * image).byte())
    return images
