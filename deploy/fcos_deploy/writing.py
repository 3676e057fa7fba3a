"""Files that are written whole or not at all."""

import errno
import glob
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FROM_WORKER = re.compile(r"Caught \w+ in DataLoader worker process")
_LEFTOVER = re.compile(r"\.(\d+)\.tmp(\.\w+)?$")


@contextmanager
def replacing(path: str | Path, size: int = 0, durable: bool = True) -> Iterator[Path]:
    """A temporary name; its file replaces `path` in one step if all goes well.

    Args:
        path: in a folder that exists.
        size: bytes that will be written, if known; the free space is checked before.
        durable: make it survive a power failure afterwards; that costs some milliseconds.

    Raises:
        OSError: the file cannot be written; names it and, on a full disk, the bytes needed and
            free. Nothing is left behind then.
    """
    path = Path(path)
    temporary = temporary_name(path)
    _check_space(path, size)
    try:
        yield temporary
        if durable:
            _flush(temporary)
        os.replace(temporary, path)
        if durable:
            _flush(path.parent)
    except BaseException as error:
        written = temporary.stat().st_size if temporary.exists() else 0
        if temporary.is_file():
            temporary.unlink()
        if full := _as_full_disk(error, path, max(size, written)):
            raise full from None
        if isinstance(error, OSError) and error.filename in (None, str(temporary), temporary):
            error.filename = str(path)
        raise


def write_text(path: str | Path, text: str, durable: bool = True) -> None:
    """Writes a file in UTF-8; see `replacing`."""
    write_bytes(path, text.encode("utf-8"), durable)


def write_bytes(path: str | Path, content: bytes, durable: bool = True) -> None:
    """Writes a file; see `replacing`."""
    with replacing(path, len(content), durable) as temporary:
        temporary.write_bytes(content)


def temporary_name(path: Path, extension: str = "") -> Path:
    """Beside `path`; `extension` is for writers that tell the format by it, such as ".mp4"."""
    return path.with_name(f"{path.name}.{os.getpid()}.tmp{extension}")


def remove_leftovers(folder: str | Path, name: str = "") -> list[Path]:
    """Deletes what writers that were killed have left in a folder; returns their names.

    Args:
        folder: to look in.
        name: how the names of the files begin.
    """
    removed = []
    for path in Path(folder).glob(f"{glob.escape(name)}*.tmp*"):
        found = _LEFTOVER.search(path.name)
        if found and not is_running(int(found[1])):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            removed.append(path)
    return removed


def describe(error: BaseException) -> str:
    """An error in one line, with its file; on a full disk with the bytes that are free."""
    if not isinstance(error, OSError) or error.strerror is None:
        text = str(error)
        if _FROM_WORKER.match(text):  # torch puts the worker's stack trace in front of it
            # Our own errors have escaped line feeds.
            last = text.replace("\\n", "\n").strip().split("\n")[-1]
            text = last.partition(": ")[2] or last
        return text
    text = error.strerror[:1].lower() + error.strerror[1:]
    if error.errno in FULL and "needed" not in text:
        text += _free_text(error.filename)
    return f"{error.filename}: {text}" if error.filename else text


def _check_space(path: Path, size: int) -> None:
    if size and path.parent.is_dir() and shutil.disk_usage(path.parent).free < size:
        raise _full_disk(path, size)


def _full_disk(path: Path, size: int, number: int = errno.ENOSPC) -> OSError:
    free = shutil.disk_usage(path.parent).free
    text = f"{os.strerror(number)}, {_amount(size)} needed, {_amount(free)} free"
    return OSError(number, text, str(path))


def _as_full_disk(error: BaseException, path: Path, size: int) -> OSError | None:
    """The error of a full disk, even if a library has turned it into another one."""
    if isinstance(error, OSError) and error.errno in FULL:
        return _full_disk(path, size, error.errno)
    if not isinstance(error, Exception) or not path.parent.is_dir():
        return None
    return _full_disk(path, size) if shutil.disk_usage(path.parent).free < 2**16 else None


def _free_text(name: str | None) -> str:
    folder = Path(name or ".").absolute().parent
    return f", {_amount(shutil.disk_usage(folder).free)} free" if folder.is_dir() else ""


def _amount(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _flush(path: Path) -> None:
    """To the disk; folders cannot be opened everywhere."""
    if path.is_dir() and os.name == "nt":
        return
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def is_running(pid: int) -> bool:
    """Whether a process of this machine is alive, and not just an entry in the process table."""
    if pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return process_state(pid) not in ("Z", "X")


def process_state(pid: int) -> str:
    """The letter of Linux's /proc, such as "T" for one that a signal has stopped; else ""."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return ""
