"""From the CPU to the device in one copy that nothing waits for."""

import torch
from torch import Tensor


def upload(tensors: list[Tensor], device: torch.device) -> list[Tensor]:
    """The tensors on a device.

    Args:
        tensors: on the CPU, those of larger numbers before those of smaller ones.
        device: theirs, or another, to which all of them go in one copy. Neither the GPU nor
            the caller waits for it.
    """
    if device.type == "cpu":
        return tensors
    packed = torch.cat([x.flatten().view(torch.uint8) for x in tensors])
    if device.type == "cuda":
        packed = packed.pin_memory()  # from other memory the copy would wait for the GPU
    parts = packed.to(device, non_blocking=True).split([x.nbytes for x in tensors])
    return [part.view(x.dtype).view(x.shape) for part, x in zip(parts, tensors, strict=True)]
