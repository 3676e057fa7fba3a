"""Backbone and head with weights in half precision, for detection on GPUs."""

import torch
from torch import Tensor, nn

from .meta_arch import FCOS


def halve_weights(model: FCOS, dtype: torch.dtype) -> None:
    """Has backbone and head of a detector compute in half precision, in place.

    Autocast rounds every weight anew in each call and normalises groups in float32. Without both a
    single image takes about four fifths of the time on a GPU. Boxes and scores are made of the
    predictions in float32, as under autocast.

    Args:
        model: a one-stage detector, in evaluation mode.
        dtype: torch.float16 or torch.bfloat16.
    """

    def rounded(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return (inputs[0].to(dtype),)

    model.backbone.to(dtype).register_forward_pre_hook(rounded)
    model.proposal_generator.fcos_head.to(dtype)


def halve_on_gpu(model: nn.Module, dtype: torch.dtype | None) -> torch.dtype | None:
    """Halves the weights of a one-stage detector on a GPU, where that is faster than autocast.

    Args:
        model: a detector in evaluation mode, of one or two stages.
        dtype: to compute in; None: float32.

    Returns:
        What autocast has to compute in; None: nothing is left to it.
    """
    on_gpu = next(model.parameters()).device.type == "cuda"
    # The second stage of two takes the backbone's features, too, and keeps its weights.
    if dtype is None or not on_gpu or not isinstance(model, FCOS):
        return dtype
    halve_weights(model, dtype)
    return None
