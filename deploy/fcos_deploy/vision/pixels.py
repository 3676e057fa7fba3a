"""From a picture that Pillow has opened to an upright uint8 array."""

import numpy as np
from PIL import Image

from .decoding import DECODE_ERRORS

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
STRIP_ROWS = 512


def decode(image: Image.Image, format: str) -> np.ndarray:
    """The uint8 (H, W, 3) array that `read_image` returns, channels in the order `format`."""
    image.load()
    tag = orientation(image)
    image = _to_8_bit(image)
    if tag in UPRIGHT:
        image = image.transpose(UPRIGHT[tag])
    return _to_array(image, format)


def orientation(image: Image.Image) -> int | None:
    """The EXIF tag that says how to turn the decoded picture; None where there is none."""
    if image.format == "TIFF":
        return None  # Pillow has turned it while loading; older ones leave the tag as it was
    try:
        return image.getexif().get(ORIENTATION_TAG)
    except DECODE_ERRORS:
        # The picture itself is fine: viewers show it as it is stored.
        return None


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width in px of the picture as people see it."""
    width, height = image.size
    return (width, height) if orientation(image) in SIDEWAYS else (height, width)


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
