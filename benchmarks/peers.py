"""The detectors of others, measured beside ours."""

import numpy as np
import torch
from torch import Tensor

from fcos_d2.benchmark.subjects import Recipe, Subject, TorchSubject, detectron2_input

NUM_CLASSES = 80


def detectron2(recipe: Recipe, size: tuple[int, int]) -> Subject:
    """detectron2's own FCOS."""
    from detectron2.config import instantiate
    from detectron2.model_zoo import get_config

    config = get_config("COCO-Detection/fcos_R_50_FPN_1x.py").model
    config.num_classes = NUM_CLASSES
    model = instantiate(config).to(recipe.device).eval()
    subject = TorchSubject("detectron2 FCOS R50", model, model.head, detectron2_input, recipe)
    subject.parameters = sum(x.numel() for x in model.parameters())
    return subject


def torchvision(recipe: Recipe, size: tuple[int, int]) -> Subject:
    """torchvision's FCOS, without its resize."""
    from torchvision.models.detection import fcos_resnet50_fpn

    model = fcos_resnet50_fpn(weights=None, weights_backbone=None, num_classes=NUM_CLASSES)
    model = model.to(recipe.device).eval()
    # The images have the size of the network already; it would interpolate them all the same.
    model.transform.resize = lambda image, target: (image, target)

    def prepare(image: np.ndarray) -> Tensor:
        rgb = np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1))
        return torch.as_tensor(rgb).to(recipe.device).float() / 255

    subject = TorchSubject("torchvision FCOS R50", model, model.head, prepare, recipe)
    subject.parameters = sum(x.numel() for x in model.parameters())
    return subject


PEERS = {"torchvision": torchvision, "detectron2": detectron2}
