"""Which decoders may see the bytes of a file, and the errors that they raise."""

import os
import struct
import warnings
import zlib
from functools import lru_cache
from typing import BinaryIO

from PIL import Image

PIXELS_VARIABLE = "FCOS_MAX_PIXELS"  # of the environment: the most pixels that an image may have
# Recognised by their bytes, whatever the name of the file. All other formats of Pillow are refused:
# some start programs (EPS: Ghostscript), and the rare ones are hardly maintained.
FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI"),
    *("SGI", "TIFF", "WEBP"),
)
# What Pillow's decoders raise on damaged files.
DECODE_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError),
    *(RuntimeError, ArithmeticError, AssertionError, MemoryError, struct.error, zlib.error),
)
BOMB_ERRORS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


class RefusedFormatError(ValueError):
    """A picture in a format that is not read; says which."""


def open_picture(file: BinaryIO, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """The picture in a file that is open for reading; only its head is read.

    Args:
        formats: those of FORMATS that are accepted.

    Raises:
        RefusedFormatError: a picture of another format.
        BOMB_ERRORS: more pixels than FCOS_MAX_PIXELS, or else Pillow, allows.
        DECODE_ERRORS: not a picture, or a damaged one; also later, when the result is used.
    """
    Image.init()  # otherwise Pillow does not know the rarer ones of FORMATS
    known = [name for name in formats if name in Image.OPEN]
    start = file.tell()
    try:
        return Image.open(file, formats=known)
    except Image.UnidentifiedImageError:
        file.seek(start)
        if name := _refused_format(file.read(16), formats):
            raise RefusedFormatError(
                f"a picture of the format {name}, which is not read; convert it to PNG or JPEG"
            ) from None
        raise


def _refused_format(head: bytes, formats: tuple[str, ...]) -> str | None:
    """The format of a file by its first bytes, which Pillow's own tests look at."""
    for name, (_, accept) in Image.OPEN.items():
        try:
            if name not in formats and accept is not None and accept(head) is True:
                return name
        except DECODE_ERRORS:  # too short for this one
            continue
    return None


def apply_pixel_limit() -> None:
    """Makes Pillow refuse images of more pixels than FCOS_MAX_PIXELS, where that is set.

    Raises:
        ValueError: it is not a number.
    """
    _set_pixel_limit(os.environ.get(PIXELS_VARIABLE))


@lru_cache(maxsize=1)
def _set_pixel_limit(text: str | None) -> None:
    if text is None:
        return
    if not text.strip().isdecimal() or int(text) < 1:
        raise ValueError(f"{PIXELS_VARIABLE} must be a whole number of pixels, got {text!r}")
    Image.MAX_IMAGE_PIXELS = (int(text) + 1) // 2  # it warns at its limit, refuses at twice
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
