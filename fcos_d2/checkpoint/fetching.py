"""Weights from the web: where a download lies, and that it stays what it was."""

import hashlib
import logging
import re
import shutil
import urllib.error
from pathlib import Path
from urllib.parse import urlparse

import torch
from iopath.common.file_io import file_lock, get_cache_dir
from tqdm import tqdm

from fcos_deploy.writing import replacing, write_text

from .known_files import KNOWN_FILES
from .reaching import opened
from .reading import sha256_of

logger = logging.getLogger(__name__)

_DETECTRON2, _DETECTRON2_HOST = "detectron2://", "https://dl.fbaipublicfiles.com/detectron2/"
# What this file fetches itself; other schemes belong to the handlers of detectron2's PathManager.
FETCHED_HERE = ("http://", "https://", "ftp://", _DETECTRON2)
# torch's own files carry the first digits of their SHA-256.
_HASH_IN_NAME = re.compile(r"https://download\.pytorch\.org/.*-([0-9a-f]{8})\.pth")
_SECONDS_OF_SILENCE = 60


def local_copy(url: str) -> Path:
    """The file that a URL stands for, fetched the first time.

    It lies in a folder of the cache ($FVCORE_CACHE, else ~/.torch/iopath_cache) that is named after
    the hash of the whole URL, so no address can take the place of another one's file, nor reach
    outside. Beside it lies the SHA-256 of the first download. A file that is no longer the same,
    here or on the host, is refused; so is one that differs from a published SHA-256.

    Args:
        url: begins as one of FETCHED_HERE.

    Raises:
        ValueError: the file is not what it is known to be; says what to delete.
        OSError, HTTPException: it cannot be fetched.
    """
    if (of_torch := _in_torchs_cache(url)) is not None:
        return of_torch
    if url.startswith(_DETECTRON2):
        url = _DETECTRON2_HOST + url.removeprefix(_DETECTRON2)
    path = _place(url)
    folder = path.parent
    with file_lock(str(folder / "download")):
        noted = folder / "sha256"
        expected = _expected_sha256(url, noted)
        if path.is_file():
            found = sha256_of(path)
        else:
            with replacing(path) as partial:
                _download(url, partial)
                found = sha256_of(partial)
                _compare(url, path, found, expected)
        _compare(url, path, found, expected)
        if len(expected) < len(found):
            write_text(noted, f"{found}\n")
            logger.warning(
                "%s: no SHA-256 of it is published; this first download has %s, and any other "
                "file from there will be refused",
                *(url, found),
            )
    logger.info("%s: cached in %s", url, path)
    return path


def cached_copy(url: str) -> Path | None:
    """The file of `url` if it lies on this machine: in our cache, or in that of torch's hub."""
    path = _place(url)
    return path if path.is_file() else _in_torchs_cache(url)


def _place(url: str) -> Path:
    key = hashlib.sha256(url.encode()).hexdigest()[:32]
    return Path(get_cache_dir(), "fcos_d2", key, _file_name(url))


def _in_torchs_cache(url: str) -> Path | None:
    """What torchvision has fetched from there, if it is what its name says."""
    in_name = _HASH_IN_NAME.fullmatch(url)
    if in_name is None or _place(url).is_file():
        return None
    path = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[-1])
    if not path.is_file():
        return None
    if not sha256_of(path).startswith(in_name[1]):
        logger.warning("%s: not what its name says it is, and not used", path)
        return None
    return path


def _file_name(url: str) -> str:
    """The last part of the path of `url`, in letters that no file system reads as anything else."""
    last = urlparse(url).path.rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".")[-100:] or "weights"


def _expected_sha256(url: str, noted: Path) -> str:
    """What the SHA-256 of the file has to begin with: all of it, eight digits, or nothing."""
    known = KNOWN_FILES.get(url)
    if known and known.sha256:
        return known.sha256
    if noted.is_file():
        return noted.read_text().strip()
    in_name = _HASH_IN_NAME.fullmatch(url)
    return in_name[1] if in_name else ""


def _compare(url: str, path: Path, found: str, expected: str) -> None:
    if not found.startswith(expected):
        raise ValueError(
            f"{path}: not what {url} is known to hold (SHA-256 {found}, not {expected}); delete "
            f"the folder {path.parent} to fetch it again and take what is there now"
        )


def _download(url: str, path: Path) -> None:
    with opened(url, _SECONDS_OF_SILENCE) as response, path.open("wb") as f:
        stated = response.headers.get("Content-Length")
        size = int(stated) if stated and stated.isdigit() else None
        with tqdm.wrapattr(response, "read", total=size, desc=path.stem, disable=None) as reader:
            shutil.copyfileobj(reader, f, 1 << 20)
    received = path.stat().st_size
    if size is not None and received != size:
        raise urllib.error.URLError(f"the connection broke off: {received} of {size} bytes came")
