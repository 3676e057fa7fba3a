"""Checkpoint files, written whole or not at all."""

import errno
from pathlib import Path

import torch
from torch import Tensor

from fcos_deploy.writing import replacing


def write_checkpoint(path: str | Path, data: dict) -> None:
    """Writes a file of torch.save.

    Raises:
        OSError: the disk is full, or the folder cannot be written; names the file.
    """
    with replacing(path, _size_of(data)) as temporary:
        try:
            torch.save(data, temporary)
        except RuntimeError as error:  # torch's own for all that goes wrong with a file
            reason = str(error).strip().splitlines()[0]
            raise OSError(errno.EIO, f"cannot be written whole ({reason})", str(path)) from None


def _size_of(data: object) -> int:
    """Bytes of all tensors in it, about."""
    if isinstance(data, Tensor):
        return data.nbytes
    if isinstance(data, dict):
        return sum(map(_size_of, data.values()))
    return sum(map(_size_of, data)) if isinstance(data, (list, tuple)) else 0
