"""Whether pictures show the same upside down, as those of a microscope do.

A classifier of ImageNet is surer of what it sees in upright pictures than in the same ones upside
down, where there is an up. Nothing is fitted to the pictures, so light that always falls from one
side, which a trained classifier would find, does not count.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from fcos_deploy.vision import ImageError, read_image

from ..checkpoint.packages import PYPI, packaged_file
from ..checkpoint.sources.efficientnet_lite import COUNTER
from ..checkpoint.sources.source import without
from ..checkpoint.starts import Start
from ..modeling.modes import evaluating
from . import rules
from .mirrored import TOP_TO_BOTTOM, one_sided_classes, some_images

MOST_IMAGES, LEAST_IMAGES = 100, 60  # looked at; fewer do not tell
SIDE = 160  # px: as sure as at the 224 of ImageNet, in less than half of the time
BATCH = 20


def same_upside_down(
    coco: Mapping[str, Any], image_root: str | Path, start: Start, device: str = "cpu"
) -> bool:
    """Whether neither the objects nor the images show what is up.

    Args:
        coco: COCO dict with the sizes of the images.
        image_root: folder of the images; those that cannot be read are left out.
        start: "imagenet", whose body the classifier has.
        device: to look with.

    Returns:
        False where too few images tell.
    """
    pictures = _pictures(coco, Path(image_root))
    if len(pictures) < LEAST_IMAGES or one_sided_classes(coco, image_root, TOP_TO_BOTTOM):
        return False
    surer = surer_upright(imagenet_classifier(start).to(device), pictures, start)
    return float(surer.mean()) < rules.HAVE_AN_UP


@torch.inference_mode()
def surer_upright(classifier: nn.Module, pictures: np.ndarray, start: Start) -> np.ndarray:
    """For each picture, whether it is recognised more surely than upside down.

    Args:
        classifier: takes (N, 3, h, w), returns logits (N, classes).
        pictures: uint8 RGB (N, h, w, 3).
        start: with the statistics that the classifier expects.

    Returns:
        bool (N,).
    """
    device = next(classifier.parameters()).device
    mean, std = (
        torch.tensor(start.settings[f"MODEL.PIXEL_{key}"], device=device)[:, None, None]
        for key in ("MEAN", "STD")
    )
    surer: list[Tensor] = []
    with evaluating(classifier):
        for images in torch.from_numpy(pictures).split(BATCH):
            upright = (images.to(device).permute(0, 3, 1, 2) - mean) / std
            entropy, upside_down = (
                torch.distributions.Categorical(logits=classifier(x)).entropy()
                for x in (upright, upright.flip(2))
            )
            surer.append(entropy < upside_down)
    return torch.cat(surer).cpu().numpy()


def imagenet_classifier(start: Start) -> nn.Module:
    """timm's whole model of the weights to start from, its classifier included."""
    import timm

    body = str(start.body)
    if not start.weights.startswith(PYPI):
        return timm.create_model(body, pretrained=True)
    model = timm.create_model(body)
    # The same layers in the same order, with other names; counters are of no use.
    state = torch.load(packaged_file(start.weights), weights_only=True)
    theirs, ours = (without(tensors, COUNTER) for tensors in (state, model.state_dict()))
    model.load_state_dict(dict(zip(ours, theirs.values(), strict=True)), strict=False)
    return model


def _pictures(coco: Mapping[str, Any], root: Path) -> np.ndarray:
    """uint8 RGB (N, SIDE, SIDE, 3)."""
    ids = {x["image_id"] for x in coco["annotations"]}
    with_objects = [x for x in coco["images"] if x["id"] in ids]
    found = []
    for image in some_images(with_objects, 0, MOST_IMAGES):
        try:
            picture = cv2.cvtColor(read_image(root / image["file_name"]), cv2.COLOR_BGR2RGB)
        except ImageError:  # which the check of the data reports
            continue
        found.append(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    return np.stack(found) if found else np.empty((0, SIDE, SIDE, 3), np.uint8)
