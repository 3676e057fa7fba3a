"""Image files to uint8 arrays, as the eye sees them, and the names that stand for image files."""

import glob
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from ..files import backslash_hint, files_matching, find_file, is_hidden
from ..text import shown
from .decoding import (
    BOMB_ERRORS,
    DECODE_ERRORS,
    PIXELS_VARIABLE,
    RefusedFormatError,
    apply_pixel_limit,
    open_picture,
)

ORIENTATION_TAG = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)
# Formats that Pillow names but which are no pictures, or which it cannot decode by itself. Other
# files that `open_picture` refuses are listed as images, so that somebody says so.
NOT_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
STRIP_ROWS = 512
RESTART_MARKERS, END_MARKER = range(0xD0, 0xD8), 0xD9  # of JPEG, each after a byte 0xFF


class ImageError(ValueError):
    """An image file that cannot be read; the message is one line with the file and the cause.

    It takes the message alone, so that it keeps its type on the way out of data loader workers.
    Letters that a terminal or a text file cannot take are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))


def read_image(path: str | Path, format: str = "BGR") -> np.ndarray:
    """Read one image file.

    The EXIF orientation is applied (values outside 1..8 are ignored), transparent pixels are
    put on white, animations and multi-page files give their first frame, 16-bit gray is scaled
    from 0..65535, and gray values of other ranges (float, 32 bit) from their own min..max.
    Colour profiles are not applied. Files that end early are errors, never half a picture.

    Args:
        path: the file; its name need not tell the format.
        format: order of the channels, "BGR" or "RGB".
    Returns:
        uint8 array of shape (H, W, 3), contiguous.
    Raises:
        ImageError: if the file is missing, no image, damaged, or has more pixels than the
            environment's FCOS_MAX_PIXELS or else Pillow allows.
        ValueError: if `format` is another word, or FCOS_MAX_PIXELS no number.
    """
    _check_format(format)
    with _opened(path) as (image, file):
        if (array := _decode_jpeg(image, file, format)) is not None:
            return array
        return _decode(image, format)


def read_reduced(
    path: str | Path,
    least_size: Callable[[tuple[int, int]], tuple[int, int]],
    format: str = "BGR",
) -> tuple[np.ndarray, tuple[int, int]]:
    """As `read_image`, but a JPEG file may come at 1/2, 1/4 or 1/8 of its width and height.

    That takes a third to a half of the time. Every pixel stands for a whole square of pixels of
    the file: what remains of one at the right and bottom is left out.

    Args:
        path, format: see `read_image`.
        least_size: told the height and width in px that `read_image` would give, those that the
            image shall have at least.
    Returns:
        The image, and the height and width that `read_image` would give.
    Raises:
        ImageError, ValueError: as `read_image` does.
    """
    _check_format(format)
    with _opened(path) as (image, file):
        size = _upright_size(image)
        factor = _draft(image, least_size(size))
        if factor == 1:
            array = _decode_jpeg(image, file, format)
            return (_decode(image, format) if array is None else array), size
        array = _decode(image, format)[: size[0] // factor, : size[1] // factor]
        return np.ascontiguousarray(array), size


def image_array(image: Image.Image) -> np.ndarray:
    """What `read_image` gives for the file behind a Pillow image of any mode; ImageError if the
    pixels cannot be decoded."""
    try:
        return _decode(image, "BGR")
    except (*BOMB_ERRORS, *DECODE_ERRORS) as error:
        name = getattr(image, "filename", "") or "image"
        raise ImageError(f"{name}: {_cause(error)}") from error


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width in px that `read_image` will give, from the head of the file.

    Raises:
        ImageError: if the file is missing or no image.
    """
    with _opened(path) as (image, _):
        return _upright_size(image)


def list_images(inputs: list[str]) -> list[Path]:
    """Turn files, folders and glob patterns into image paths, each once, in the order given.

    A folder gives what lies directly in it and has the extension of an image, sorted by name;
    a subfolder with such a name is kept, so that reading it reports it. A file that is named
    or matched by a pattern is always taken, whatever its extension.

    Args:
        inputs: names of files or folders, or glob patterns (`**` goes through folders).
    Returns:
        paths, not checked to be readable.
    Raises:
        ValueError: if a name does not exist, or a folder or pattern gives no image; or if
            FCOS_MAX_PIXELS is no number.
    """
    apply_pixel_limit()  # a wrong one is said before work begins
    # A dict, for it keeps the order.
    paths = dict.fromkeys(path for name in inputs for path in _paths_of(name))
    return list(paths)


@lru_cache(maxsize=1)
def image_extensions() -> frozenset[str]:
    """Extensions of the picture formats that this Pillow reads, in lower case, with the dot."""
    extensions = Image.registered_extensions()  # loads the plugins that fill Image.OPEN
    readable = set(Image.OPEN) - NOT_PICTURES
    return frozenset(extension for extension, name in extensions.items() if name in readable)


def _paths_of(name: str) -> list[Path]:
    path = find_file("", name)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if _named_like_image(p))
        if not found and _named_like_image(path):
            found = [path]
        if not found:
            raise ValueError(f"{name}: the folder holds no image")
    elif path.exists():
        found = [path]
    elif glob.has_magic(name):
        found = _matches(name) or _matches(name.replace("\\", "/"))
        if not found:
            raise ValueError(f"{name}: no image matches this pattern{backslash_hint(name)}")
    else:
        raise ValueError(f"{name}: no such file or folder{backslash_hint(name)}")
    return found


def _matches(pattern: str) -> list[Path]:
    # Where links lead round, glob's `**` goes round and round.
    goes_deep = "**" in Path(pattern).parts
    matches = files_matching(pattern) if goes_deep else map(Path, sorted(glob.glob(pattern)))
    # Names with a dot in front come only where the pattern has it, too.
    wanted = [p for p in matches if p.name.startswith(".") or not is_hidden(p.name)]
    return [p for p in wanted if p.is_file() or _named_like_image(p)]


def _named_like_image(path: Path) -> bool:
    # Hidden files are left out, as by a shell's `*`: `._a.jpg` is not a picture.
    return path.suffix.lower() in image_extensions() and not is_hidden(path.name)


def _check_format(format: str) -> None:
    if format not in ("BGR", "RGB"):
        raise ValueError(f"format must be 'BGR' or 'RGB', got {format!r}")


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[Image.Image, BinaryIO]]:
    """The image, of which only the head is read, and its file; errors are `ImageError`."""
    path = Path(path)
    apply_pixel_limit()
    try:
        _check_content(path)
        # By name Pillow would map raw data into memory, and mix up turned gray TIFF files.
        with path.open("rb") as file, open_picture(file) as image:
            yield image, file
    except ImageError:
        raise
    except (*BOMB_ERRORS, *DECODE_ERRORS) as error:
        raise ImageError(f"{path}: {_cause(error)}") from error


def _check_content(path: Path) -> None:
    size = path.stat().st_size
    if path.is_dir():
        raise ImageError(f"{path}: a folder, not an image file")
    if not path.is_file():  # reading from a pipe or a device could block for ever
        raise ImageError(f"{path}: not a regular file")
    if size == 0:
        raise ImageError(f"{path}: the file is empty")


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


def _orientation(image: Image.Image) -> object:
    if image.format == "TIFF":
        return None  # Pillow has turned it while loading; older ones leave the tag as it was
    try:
        return image.getexif().get(ORIENTATION_TAG)
    except DECODE_ERRORS:
        # The picture itself is fine: viewers show it as it is stored.
        return None


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (width, height) if _orientation(image) in SIDEWAYS else (height, width)


def _draft(image: Image.Image, least_size: tuple[int, int]) -> int:
    """Lets a JPEG be decoded at a fraction of its size, upright at least so; returns the factor."""
    if image.format != "JPEG":
        return 1
    orientation, (width, height) = _orientation(image), image.size
    sideways = orientation in SIDEWAYS
    least_width, least_height = least_size if sideways else least_size[::-1]
    for factor in (8, 4, 2):
        size = width // factor, height // factor
        # What is left of a pixel would come to lie at the left or top of a turned picture.
        whole = orientation not in UPRIGHT or not (width % factor or height % factor)
        if whole and size[0] >= max(least_width, factor) and size[1] >= max(least_height, factor):
            image.draft(None, size)
            return factor
    return 1


def _decode(image: Image.Image, format: str) -> np.ndarray:
    """What `read_image` gives, by Pillow."""
    image.load()
    method = UPRIGHT.get(_orientation(image))
    image = _to_8_bit(image)
    return _to_array(image if method is None else image.transpose(method), format)


def _decode_jpeg(image: Image.Image, file: BinaryIO, format: str) -> np.ndarray | None:
    """What `read_image` gives, from OpenCV, in half of Pillow's time; None if that is not sure.

    Both decode with libjpeg-turbo, to the same pixels. CMYK and turned pictures are left to
    Pillow, and all but one whole scan: of damaged files OpenCV returns what there is.
    """
    if image.format != "JPEG" or image.mode not in ("RGB", "L") or _orientation(image) in UPRIGHT:
        return None
    start = file.tell()  # Pillow has read up to the coded pixels
    file.seek(0)
    content = np.frombuffer(file.read(), np.uint8)
    if not _is_whole_scan(content[start:]):
        return None
    try:
        array = cv2.imdecode(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    if array is None or array.shape != (image.height, image.width, 3):
        return None
    return array if format == "BGR" else cv2.cvtColor(array, cv2.COLOR_BGR2RGB, array)


def _is_whole_scan(scan: np.ndarray) -> bool:
    """Whether these bytes are coded pixels and the end of the file, with no marker in between."""
    after = scan[1:][scan[:-1] == 0xFF]  # 0 after a 0xFF of the pixels
    inside = np.isin(after[:-1], (0, *RESTART_MARKERS))
    return scan[-2:].tolist() == [0xFF, END_MARKER] and bool(inside.all())


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale gray images of more than 8 bits to mode L; other images are returned as they are."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    values = np.asarray(image).astype(np.float32)
    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0, 0)
    if image.mode != "F" and low >= 0 and high <= 65535:
        # A fixed range, so that the images of a series keep their relative brightness.
        low, high = 0, 65535
    values[~finite] = low
    values -= low
    values *= 255 / (high - low) if high > low else 0
    return Image.fromarray(np.rint(values, out=values).astype(np.uint8))


def _to_array(image: Image.Image, format: str) -> np.ndarray:
    # Strip by strip: besides the decoded image only the result is held in full.
    width, height = image.size
    array = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, height)
        rgb = np.asarray(_to_rgb(image.crop((0, top, width, bottom))))
        array[top:bottom] = rgb if format == "RGB" else rgb[:, :, ::-1]
    return array


def _to_rgb(image: Image.Image) -> Image.Image:
    transparent = image.mode.endswith(("A", "a")) or "transparency" in image.info
    if not transparent:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")
