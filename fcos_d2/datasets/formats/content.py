"""What is in a text file, without parsing it; a large one is not read into memory."""

import mmap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fcos_deploy.text import read_text

_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")  # UTF-16 and UTF-32


@contextmanager
def content_of(path: Path) -> Iterator[bytes | mmap.mmap]:
    """The bytes of a text file as UTF-8.

    Raises:
        OSError, ValueError: it cannot be read, or is no text.
    """
    with open(path, "rb") as file:
        head = file.read(4)
        if not head.strip():
            yield head
        elif head.startswith(_OTHER_MARKS):
            yield read_text(path).encode()
        else:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                yield content


def holds(path: Path, words: Iterable[bytes]) -> bool:
    """Whether all words are in a file; parsing a large one takes long."""
    try:
        with content_of(path) as content:
            return all(content.find(word) >= 0 for word in words)
    except (OSError, ValueError):  # a link to nowhere, or bytes that are no text
        return False
