"""Which parameters of a model learn: random ones do, and those that reach no loss do not."""

import logging

import torch
from detectron2.layers import FrozenBatchNorm2d, NaiveSyncBatchNorm
from torch import nn

from ..modeling.backbone import TimmBackbone
from ..modeling.batch_norms import exchange_batch_norms
from ..modeling.meta_arch import AnyDetector
from ..modeling.modes import evaluating

logger = logging.getLogger(__name__)

_SIDE = 128  # px; the coarsest levels have one cell then


def choose_what_learns(model: nn.Module, from_scratch: bool) -> None:
    """Settles which parameters of `model` need a gradient, in place, and says what it changed.

    Args:
        model: in the mode and on the device of training; before the optimiser is made.
        from_scratch: no weights will be loaded, so what is frozen is random.
    """
    if from_scratch and not _has_weights(model):
        unfreeze(model)
    unused = unused_parameters(model)
    for name in unused:
        model.get_parameter(name).requires_grad = False
    if unused:
        # That heads leave out outputs of a neck is a choice of the config, as plans make it.
        chosen = all(name.startswith("backbone.fpn_output") for name in unused)
        logger.log(
            logging.INFO if chosen else logging.WARNING,
            "%d tensors of the backbone have no way to a loss, because no head reads what they "
            "make: they are frozen, as several processes could not train otherwise. The first is "
            "%s. Are all levels of the neck among the IN_FEATURES of the head?",
            len(unused),
            unused[0],
        )


def _has_weights(model: nn.Module) -> bool:
    """Whether the body has fetched weights by itself."""
    return any(isinstance(x, TimmBackbone) and x.pretrained for x in model.modules())


def unfreeze(model: nn.Module) -> None:
    """Lets everything in `model` learn; frozen norms become norms with statistics of their own."""
    kind = "BN"
    for module in model.modules():
        if isinstance(module, nn.SyncBatchNorm):
            kind = "SyncBN"
        elif isinstance(module, NaiveSyncBatchNorm):
            kind = "NaiveSyncBN"
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad = True
    num_norms = exchange_batch_norms(model, kind, which=FrozenBatchNorm2d)
    if frozen or num_norms:
        logger.warning(
            "`weights` is empty, so %d tensors and %d norms would stay frozen as the random "
            "numbers that they are: they learn, too, the norms as %s",
            len(frozen),
            num_norms,
            kind,
        )


def unused_parameters(model: nn.Module) -> list[str]:
    """Names of the parameters of the backbone that learn but that no head's features come from.

    DistributedDataParallel would wait for their gradients, and stop in the second step. They are
    found by the gradients of one small image.

    Args:
        model: with a `backbone`, and heads (or itself) with lists called ...in_features of its
            outputs that they read. Of another model nothing is found.
    """
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, nn.Module) or not hasattr(model, "pixel_mean"):
        return []
    names = [name for name, x in backbone.named_parameters() if x.requires_grad]
    parameters = [backbone.get_parameter(name) for name in names]
    try:
        with evaluating(backbone):  # one image has no batch statistics
            features = backbone(_small_image(model))
    except (RuntimeError, AssertionError, ValueError) as error:
        # A backbone of images of one size: not to know is no reason not to train.
        logger.info("no look for unused parameters of the backbone: %s", error)
        return []
    read = _features_read(model, backbone) & features.keys() or features.keys()
    total = sum(features[name].sum() for name in read)
    if not total.requires_grad:
        return names
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    return [f"backbone.{name}" for name, x in zip(names, gradients, strict=True) if x is None]


def _small_image(model: AnyDetector) -> torch.Tensor:
    """(1, C, side, side) of zeros, which the backbone takes."""
    backbone = model.backbone
    divisor = max(getattr(backbone, "size_divisibility", 0), 1)
    constraints = getattr(backbone, "padding_constraints", {})
    side = constraints.get("square_size", 0) or -(-_SIDE // divisor) * divisor
    return model.pixel_mean.new_zeros(1, len(model.pixel_mean), side, side)


def _features_read(model: nn.Module, backbone: nn.Module) -> set[str]:
    """The outputs of the backbone that the other parts of the model name."""
    parts = [
        model,
        *(x for child in model.children() if child is not backbone for x in child.modules()),
    ]
    return {
        feature
        for part in parts
        for name, value in vars(part).items()
        if name.endswith("in_features") and isinstance(value, (list, tuple))
        for feature in value
    }
