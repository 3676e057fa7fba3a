"""The numbers of a step, of all ranks, in the one transfer that the step waits for."""

import torch
import torch.distributed as dist
from detectron2.utils import comm
from torch import Tensor


def numbers_of_ranks(
    on_device: dict[str, Tensor], on_host: dict[str, float]
) -> list[dict[str, float]]:
    """What each rank has, in the order of the ranks; the same list on all of them.

    Args:
        on_device: scalars, the same names on every rank.
        on_host: numbers that are known already, likewise.
    """
    names = [*on_device, *on_host]
    vector = torch.stack([x.detach().double() for x in on_device.values()])
    if comm.get_world_size() == 1:
        return [dict(zip(names, [*to_host(vector), *on_host.values()], strict=True))]
    known = torch.tensor([*on_host.values()], dtype=vector.dtype)
    if vector.is_cuda:
        known = known.pin_memory()
    vector = torch.cat((vector, known.to(vector.device, non_blocking=True)))
    rows = [torch.empty_like(vector) for _ in range(comm.get_world_size())]
    dist.all_gather(rows, vector)
    return [dict(zip(names, row, strict=True)) for row in to_host(torch.stack(rows))]


def to_host(values: Tensor) -> list:
    """The numbers in a tensor; the caller waits until the device has made them."""
    return values.tolist()
