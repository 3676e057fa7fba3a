"""Checkpoint files to dicts, without running code that a file may hold."""

import hashlib
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .known_files import KNOWN_SHA256

# How files begin: torch's archive, torch's format before 1.6 (a pickled number), any pickle.
_ZIP = b"PK\x03\x04"
_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_PICKLE = b"\x80"
_GIT_LFS = b"version https://git-lfs"
_MARKUP = (b"<!DOC", b"<html", b"<?xml")


# Of a compressed archive; more is a bomb. A checkpoint of Adam with a moving mean has four times.
_TIMES_THE_MODEL = 8
_BYTES_OF_ANY_MODEL = 1 << 30
# What zipfile raises on damaged bytes, beside its own errors.
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error),
    *(NotImplementedError, RuntimeError, EOFError, OSError, ValueError, OverflowError),
)


class DamagedCheckpointError(ValueError):
    """The file is not what was written; another copy may be good."""


def read_checkpoint(
    path: str | Path,
    trust_checkpoint: str | None = None,
    *,
    asked_for: str = "",
    model_bytes: int = _BYTES_OF_ANY_MODEL,
) -> dict:
    """What a checkpoint file holds; its content decides the format, not its name.

    Args:
        path: a file of torch.save, safetensors or pickle (detectron2's zoo).
        trust_checkpoint: the one file that may run code while it is opened: its path or URL, or
            its SHA-256. Files with a published SHA-256 need no such word.
        asked_for: the path or URL that led to `path`, where it is another one.
        model_bytes: size of the model that the weights are for.

    Returns:
        The dict in the file, tensors on the CPU.

    Raises:
        ValueError: damaged, no checkpoint, or not trusted; names the file and the cure.
    """
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise DamagedCheckpointError(f"{path}: the file is empty")
    trust = _Trust(path, trust_checkpoint, asked_for or str(path))
    if head.startswith(_GIT_LFS):
        raise ValueError(f"{path}: a Git LFS pointer, not the weights; run `git lfs pull` there")
    if head.lstrip()[:5].startswith(_MARKUP):
        raise ValueError(f"{path}: a web page, not weights; the download went wrong")
    if head[8:9] == b"{":
        loaded: Any = _read_safetensors(path)
    elif head.startswith((_ZIP, _LEGACY_TORCH)):
        if head.startswith(_ZIP):
            _check_archive(path, model_bytes)
        loaded = _read_torch(path, trust)
    elif head.startswith(_PICKLE):
        loaded = _read_pickle(path, trust)
    else:
        raise _damaged(path, f"begins with {head[:8]!r}")
    if not isinstance(loaded, dict):
        raise ValueError(
            f"{path}: holds a {type(loaded).__name__}, not weights by name; save "
            "model.state_dict() instead of the model"
        )
    return loaded


class _Trust(NamedTuple):
    """Whether a file may run code while it is opened."""

    path: Path
    trusted: str | None
    asked_for: str

    def check(self) -> None:
        """Raises ValueError unless the user, or a published SHA-256, vouches for the file."""
        if self.trusted in (self.asked_for, str(self.path)):
            return
        digest = sha256_of(self.path)
        if digest == self.trusted or digest in KNOWN_SHA256:
            return
        raise ValueError(
            f"{self.path}: a pickle, which can run any code while it is opened. If you know where "
            f"it comes from, add `--trust-checkpoint {self.asked_for}` "
            f"(trust_checkpoint={self.asked_for!r}); SHA-256 {digest}"
        )


def _check_archive(path: Path, model_bytes: int) -> None:
    """Compares every entry of an archive of torch.save with its checksum, which torch does not.

    Raises:
        ValueError: damaged, or it would fill the memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            # torch does not compress.
            is_bomb = size > max(2 * path.stat().st_size, _TIMES_THE_MODEL * model_bytes)
            broken = None if is_bomb else archive.testzip()
    except _ZIP_ERRORS as error:
        raise _damaged(path, error) from None
    if is_bomb:
        raise ValueError(
            f"{path}: says that it unpacks to {size / 1e6:,.0f} MB, which is more than any "
            f"checkpoint of this model ({model_bytes / 1e6:,.0f} MB) needs; not opened"
        )
    if broken is not None:
        raise _damaged(
            path,
            f"the checksum of {broken!r} is wrong; or torch wrote none: then save it again after "
            "torch.serialization.set_crc32_options(True)",
        )


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise _damaged(path, error) from None


def _read_torch(path: Path, trust: _Trust) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" not in str(error):
            raise _damaged(path, error) from None
    except Exception as error:  # damaged bytes end in nearly any error of the unpickler
        raise _damaged(path, error) from None
    trust.check()
    return _run_pickle(path, lambda: torch.load(path, map_location="cpu", weights_only=False))


def _read_pickle(path: Path, trust: _Trust) -> Any:
    trust.check()
    # The zoo's files come from Python 2.
    return _run_pickle(path, lambda: pickle.loads(path.read_bytes(), encoding="latin1"))


def _run_pickle(path: Path, load: Callable[[], object]) -> object:
    try:
        return load()
    except Exception as error:  # unpickling runs the file's own code, which may raise anything
        raise _damaged(path, error) from None


def _damaged(path: Path, reason: Exception | str) -> DamagedCheckpointError:
    lines = str(reason).strip().splitlines()
    text = lines[0] if lines else type(reason).__name__
    return DamagedCheckpointError(f"{path}: damaged, or not a checkpoint ({text})")


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
