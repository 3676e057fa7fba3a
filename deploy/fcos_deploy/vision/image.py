"""Reading image files as the eye sees them: upright uint8 arrays."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..text import shown
from .decoding import (
    BOMB_ERRORS,
    DECODE_ERRORS,
    FORMATS,
    PIXELS_VARIABLE,
    RefusedFormatError,
    apply_pixel_limit,
    open_picture,
)
from .jpeg import decode_jpeg, draft
from .pixels import decode, upright_size

# A path, the content of a file, or a file that is open for reading bytes.
ImageFile = str | Path | bytes | BinaryIO


class ImageError(ValueError):
    """An image file that cannot be read; the message is one line with the file and the cause.

    It takes the message alone, so that it keeps its type on the way out of data loader workers.
    Letters that a terminal or a text file cannot take are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))


class TooManyPixelsError(ImageError):
    """An image that was not decoded because its header announces too many pixels."""


def read_image(
    file: ImageFile,
    format: str = "BGR",
    *,
    formats: tuple[str, ...] = FORMATS,
    max_pixels: int | None = None,
) -> np.ndarray:
    """Read one image file.

    The EXIF orientation is applied (values outside 1..8 are ignored), transparent pixels are
    put on white, animations and multi-page files give their first frame, 16-bit gray is scaled
    from 0..65535, and gray values of other ranges (float, 32 bit) from their own min..max.
    Colour profiles are not applied. Files that end early are errors, never half a picture.

    Args:
        file: path, content, or an open file, which is read to its end; what a name says about the
            format is ignored.
        format: order of the channels, "BGR" or "RGB".
        formats: which file formats to accept, out of `decoding.FORMATS`.
        max_pixels: a limit below that of the environment's FCOS_MAX_PIXELS or of Pillow, which
            always hold.

    Returns:
        uint8 array of shape (H, W, 3), contiguous.

    Raises:
        TooManyPixelsError: above one of the limits.
        ImageError: the file is missing, not an image, or damaged.
        ValueError: `format` is another word, or FCOS_MAX_PIXELS is not a number.
    """
    _check_format(format)
    with _opened(file, formats) as (image, content):
        if max_pixels is not None and image.width * image.height > max_pixels:
            raise TooManyPixelsError(f"{_name_of(file)}: more than {max_pixels:,} pixels")
        array = decode_jpeg(image, content, format)
        return decode(image, format) if array is None else array


def read_reduced(
    file: ImageFile,
    least_size: Callable[[tuple[int, int]], tuple[int, int]],
    format: str = "BGR",
) -> tuple[np.ndarray, tuple[int, int]]:
    """As `read_image`, but a JPEG file may come at 1/2, 1/4 or 1/8 of its width and height.

    That takes a third to a half of the time. Every pixel stands for a whole square of pixels of
    the file: what remains of one at the right and bottom is left out.

    Args:
        file, format: see `read_image`.
        least_size: from the height and width in px that `read_image` would give to those that the
            image needs at least.

    Returns:
        The image, and the height and width that `read_image` would give.

    Raises:
        ImageError, ValueError: as `read_image` does.
    """
    _check_format(format)
    with _opened(file) as (image, content):
        size = upright_size(image)
        factor = draft(image, least_size(size))
        if factor == 1:
            array = decode_jpeg(image, content, format)
            return (decode(image, format) if array is None else array), size
        array = decode(image, format)[: size[0] // factor, : size[1] // factor]
        return np.ascontiguousarray(array), size


def image_array(image: Image.Image) -> np.ndarray:
    """The array (BGR) that `read_image` gives for the file behind a Pillow image of any mode.

    Raises:
        ImageError: the pixels cannot be decoded.
    """
    try:
        return decode(image, "BGR")
    except (*BOMB_ERRORS, *DECODE_ERRORS) as error:
        name = getattr(image, "filename", "") or "image"
        raise _explained(name, error) from error


def image_size(file: ImageFile) -> tuple[int, int]:
    """Height and width in px that `read_image` will give, from the head of the file.

    Raises:
        ImageError: the file is missing or not an image.
    """
    with _opened(file) as (image, _):
        return upright_size(image)


def _check_format(format: str) -> None:
    if format not in ("BGR", "RGB"):
        raise ValueError(f"format must be 'BGR' or 'RGB', got {format!r}")


@contextmanager
def _opened(
    file: ImageFile, formats: tuple[str, ...] = FORMATS
) -> Iterator[tuple[Image.Image, BinaryIO]]:
    """The image, of which only the head is read, and its content; errors are `ImageError`."""
    apply_pixel_limit()
    try:
        with _content(file) as content, open_picture(content, formats) as image:
            yield image, content
    except ImageError:
        raise
    except (*BOMB_ERRORS, *DECODE_ERRORS) as error:
        raise _explained(_name_of(file), error) from error


def _content(file: ImageFile) -> BinaryIO:
    """Of any kind of file, open for reading at its start."""
    if isinstance(file, (str, Path)):
        path = Path(file)
        _check_path(path)
        # By name Pillow would map raw data into memory, and mix up turned gray TIFF files.
        return path.open("rb")
    if isinstance(file, (bytes, bytearray, memoryview)):
        content = bytes(file)
    elif hasattr(file, "read"):
        content = file.read()
    else:
        raise ImageError(f"must be a path, bytes or an open file, got {type(file).__name__}")
    if not isinstance(content, bytes):
        raise ImageError(f"{_name_of(file)}: open it for reading bytes, as open(..., 'rb') does")
    if not content:
        raise ImageError(f"{_name_of(file)}: the file is empty")
    return io.BytesIO(content)


def _check_path(path: Path) -> None:
    size = path.stat().st_size
    if path.is_dir():
        raise ImageError(f"{path}: a folder, not an image file")
    if not path.is_file():  # reading from a pipe or a device could block for ever
        raise ImageError(f"{path}: not a regular file")
    if size == 0:
        raise ImageError(f"{path}: the file is empty")


def _name_of(file: ImageFile) -> str:
    """For messages."""
    if isinstance(file, (str, Path)):
        return str(Path(file))
    return str(getattr(file, "name", "image"))


def _explained(name: str, error: Exception) -> ImageError:
    kind = TooManyPixelsError if isinstance(error, BOMB_ERRORS) else ImageError
    return kind(f"{name}: {_cause(error)}")


def _cause(error: Exception) -> str:
    """The cause in words of ours: Pillow's messages name buffers, tiles and decoders."""
    if isinstance(error, RefusedFormatError):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or of a format that this Pillow does not read"
    if isinstance(error, BOMB_ERRORS):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"more than {limit:,} pixels; for more, set {PIXELS_VARIABLE} in the environment"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    if "truncated" in str(error).lower():
        return "the file is cut short"
    return "the image data are damaged or of an unsupported kind"
