"""A small detector with random weights that finds a lot in noise."""

from pathlib import Path

import torch

from fcos_d2 import model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer

SMALL = ["INPUT.MIN_SIZE_TEST", "64", "INPUT.MAX_SIZE_TEST", "128"]  # px
OPTS = ["MODEL.FCOS.NUM_CLASSES", "2", "MODEL.DEVICE", "cpu", *SMALL]


def write_detector(folder: Path) -> str:
    """Writes the weights of a detector of cats and dogs with its config beside them.

    Returns:
        The file of weights.
    """
    torch.manual_seed(1)
    model = model_zoo.get_model("Recipes/R18-Scratch", OPTS)
    head = model.proposal_generator.fcos_head
    torch.nn.init.normal_(head.cls_logits.weight, std=1.0)
    torch.nn.init.constant_(head.cls_logits.bias, -1.0)
    torch.nn.init.constant_(head.bbox_pred.bias, 2.0)
    FCOSCheckpointer(model, str(folder), class_names=["cat", "dog"]).save("model")
    config = model_zoo.get_config("Recipes/R18-Scratch", OPTS)
    (folder / "config.yaml").write_text(config.dump())
    return str(folder / "model.pth")
