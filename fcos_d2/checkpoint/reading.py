"""Checkpoint files to dicts, without running code that a file may hold."""

import hashlib
import pickle
from pathlib import Path

import torch
from torch import Tensor

from .known_files import KNOWN_SHA256

# How files begin: torch's archive, torch's format before 1.6 (a pickled number), any pickle.
_ZIP = b"PK\x03\x04"
_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_PICKLE = b"\x80"
_GIT_LFS = b"version https://git-lfs"
_MARKUP = (b"<!DOC", b"<html", b"<?xml")


def read_checkpoint(path: str | Path, trust_checkpoint: bool = False) -> dict:
    """What a checkpoint file holds; its format is told by its content, not by its name.

    Args:
        path: a file of torch.save, safetensors or pickle (detectron2's zoo).
        trust_checkpoint: also open files that can run code while they are opened. Files with a
            published SHA-256 need no such word.

    Returns:
        The dict in the file, tensors on the CPU.

    Raises:
        ValueError: damaged, no checkpoint, or not trusted; names the file and the cure.
    """
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise ValueError(f"{path}: the file is empty")
    if head.startswith(_GIT_LFS):
        raise ValueError(f"{path}: a Git LFS pointer, not the weights; run `git lfs pull` there")
    if head.lstrip()[:5].startswith(_MARKUP):
        raise ValueError(f"{path}: a web page, not weights; the download went wrong")
    if head[8:9] == b"{":
        loaded = _read_safetensors(path)
    elif head.startswith((_ZIP, _LEGACY_TORCH)):
        loaded = _read_torch(path, trust_checkpoint)
    elif head.startswith(_PICKLE):
        loaded = _read_pickle(path, trust_checkpoint)
    else:
        raise ValueError(f"{path}: damaged, or not a checkpoint (begins with {head[:8]!r})")
    if not isinstance(loaded, dict):
        raise ValueError(
            f"{path}: holds a {type(loaded).__name__}, not weights by name; save "
            "model.state_dict() instead of the model"
        )
    return loaded


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged, or not a checkpoint ({error})") from None


def _read_torch(path: Path, trust_checkpoint: bool) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" not in str(error):
            raise _damaged(path, error) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from None
    _check_trust(path, trust_checkpoint)
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # unpickling runs the file's own code, which may raise anything
        raise _damaged(path, error) from None


def _read_pickle(path: Path, trust_checkpoint: bool) -> object:
    _check_trust(path, trust_checkpoint)
    try:
        with path.open("rb") as file:
            return pickle.load(file, encoding="latin1")  # the zoo's files come from Python 2
    except Exception as error:  # as above
        raise _damaged(path, error) from None


def _check_trust(path: Path, trust_checkpoint: bool) -> None:
    if trust_checkpoint:
        return
    digest = sha256_of(path)
    if digest not in KNOWN_SHA256:
        raise ValueError(
            f"{path}: a pickle, which can run any code while it is opened. If you know where it "
            f"comes from, add --trust-checkpoint (trust_checkpoint=True); SHA-256 {digest}"
        )


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = str(error).strip().splitlines()
    return ValueError(
        f"{path}: damaged, or not a checkpoint ({reason[0] if reason else type(error).__name__})"
    )


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
