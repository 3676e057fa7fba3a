"""Images that cannot be read: waiting for a disk that is away, and counting over all workers."""

import errno
import logging
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fcos_deploy.vision import ImageError

logger = logging.getLogger(__name__)

T = TypeVar("T")

PAUSES = (0.5, 1, 2, 4, 8, 15, 30)  # s between tries, about a minute in all
# What a network file system says while its server or its mount is away.
_AWAY = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.ENXIO}


class FolderAwayError(ValueError):
    """The images were away for longer than the pauses; takes the message alone, as `ImageError`."""


class TooManyUnreadableError(ValueError):
    """More images than allowed could not be read; takes the message alone, as `ImageError`."""


def read_patiently(read: Callable[[], T], path: str | Path) -> T:
    """What `read` returns; it is tried again, after growing pauses, while the disk is away.

    Args:
        read: reads the image at `path`.
        path: of a file; that it alone is gone is no reason to wait.

    Raises:
        ImageError: of `read`.
        FolderAwayError: the folder is not back after all pauses.
    """
    for pause in PAUSES:
        try:
            return read()
        except ImageError as error:
            if not _is_away(error, path):
                raise
            logger.warning("%s; trying again in %g s", error, pause)
            time.sleep(pause)
    try:
        return read()
    except ImageError as error:
        if not _is_away(error, path):
            raise
        raise FolderAwayError(
            f"{error}; {os.path.dirname(path) or '.'} has been away for {sum(PAUSES):g} s. Bring "
            "it back and go on with --resume"
        ) from None


def _is_away(error: ImageError, path: str | Path) -> bool:
    cause = error.__cause__
    if not isinstance(cause, OSError):
        return False
    return cause.errno in _AWAY or not os.path.isdir(os.path.dirname(path) or ".")


class UnreadableCounter:
    """How many images a loader has tried, and how many of them could not be read.

    Loader workers share the counts, and append the names to one file.
    """

    def __init__(self, max_share: float, list_file: str | Path = "", grace: int = 20) -> None:
        """
        Args:
            max_share: of the images tried, in [0, 1].
            list_file: gets a line for each image that could not be read; "" for none.
            grace: images tried before the share counts.

        Raises:
            ValueError: `max_share` outside [0, 1].
        """
        if not 0 <= max_share <= 1:
            raise ValueError(f"max_unreadable_share must be in [0, 1], got {max_share}")
        self.max_share = max_share
        self.list_file = Path(list_file) if list_file else None
        self.grace = grace
        self._tried = multiprocessing.Value("q", 0)
        self._failed = multiprocessing.Value("q", 0)

    @property
    def counts(self) -> tuple[int, int]:
        """Images tried, and those of them that could not be read."""
        return self._tried.value, self._failed.value

    def add(self, error: Exception | None = None) -> None:
        """Counts an image, and notes its name if it could not be read.

        Args:
            error: why it could not be read.

        Raises:
            TooManyUnreadableError: the share is above `max_share`; names the list and the image.
        """
        with self._tried.get_lock():
            self._tried.value += 1
        if error is None:
            return
        with self._failed.get_lock():
            self._failed.value += 1
        if self.list_file is not None:
            self.list_file.parent.mkdir(parents=True, exist_ok=True)
            with self.list_file.open("a", encoding="utf-8") as file:
                file.write(f"{error}\n")
        tried, failed = self.counts
        if tried >= self.grace and failed > self.max_share * tried:
            listed = f"; all of them are in {self.list_file}" if self.list_file else ""
            raise TooManyUnreadableError(
                f"{failed} of {tried} images could not be read, more than the share of "
                f"{self.max_share:g} that DATALOADER.MAX_UNREADABLE_SHARE allows; the last one: "
                f"{error}{listed}"
            )
