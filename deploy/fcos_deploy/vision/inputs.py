"""What users hand over as an image, as one kind of array. For both the predictor and exports."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeGuard

import numpy as np
from PIL import Image

from .image import ImageFile, image_array, read_image

GivenImage = np.ndarray | ImageFile | Image.Image
# An object needs two edges. In a picture one pixel high or wide there are none, and anything found
# there after enlarging comes from the border of the network's input.
MIN_SIDE = 2


def bgr_image(image: GivenImage) -> np.ndarray:
    """The pixels of one image.

    Args:
        image: BGR uint8 (H, W, 3) array; or a path, the content of a file, an open file, or a
            Pillow image of any mode. Of these the EXIF orientation is applied, and transparent
            pixels are put on white, see `read_image`.

    Returns:
        BGR uint8 (H, W, 3), at least 1 x 1; the array itself where one was given.

    Raises:
        ImageError: a file or Pillow image that cannot be decoded; names it.
        ValueError: anything else, or an array of another shape or type; says how to convert it.
    """
    if _is_file(image):
        return read_image(image)
    if isinstance(image, Image.Image):
        image = image_array(image)
    if not isinstance(image, np.ndarray):
        raise ValueError(
            "image must be a BGR uint8 array (H, W, 3), bytes or an open file, a path or a Pillow "
            f"image, got {type(image).__name__}{_cure_of_type(image)}"
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"image must be a BGR uint8 array (H, W, 3), got {image.dtype} {image.shape}"
            f"{_cure_of_array(image)}"
        )
    if image.size == 0:
        height, width = image.shape[:2]
        raise ValueError(
            f"image has no pixels, got (H, W) = ({height}, {width}): leave out empty crops"
        )
    return image


def bgr_images(images: Iterable[GivenImage]) -> list[np.ndarray]:
    """`bgr_image` of each.

    Raises:
        ValueError: see `bgr_image`, with the position in the list; or one image instead of a list.
    """
    single = _is_file(images) or isinstance(images, Image.Image)
    if single or (isinstance(images, np.ndarray) and images.ndim < 4):
        raise ValueError("images must be a list of images, got a single one: put it into a list")
    if not isinstance(images, Iterable):
        raise ValueError(f"images must be a list of images, got {type(images).__name__}")
    images = list(images)
    arrays = []
    for position, image in enumerate(images):
        try:
            arrays.append(bgr_image(image))
        except ValueError as error:
            if len(images) > 1:
                # Of the same type: an image that cannot be read stays an ImageError.
                raise type(error)(f"image {position} of {len(images)}: {error}") from None
            raise
    return arrays


def _is_file(image: object) -> TypeGuard[ImageFile]:
    return isinstance(image, (str, Path, bytes)) or hasattr(image, "read")


def shows_objects(height: int, width: int) -> bool:
    """Whether something can be found in an image of so many px."""
    return min(height, width) >= MIN_SIDE


def _cure_of_type(image: object) -> str:
    if isinstance(image, (list, tuple)):
        return ": several images go to predict_batch() of a Predictor, detect() of a Detector"
    return ": convert it" if image is not None else ": was a file not read?"


def _cure_of_array(image: np.ndarray) -> str:
    if image.dtype != np.uint8:
        if np.issubdtype(image.dtype, np.floating):
            return ": for values in [0, 1], (255 * image).round().astype(np.uint8)"
        return ": scale its values to 0..255, then image.astype(np.uint8)"
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        return ": for grey images, cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)"
    if image.ndim == 3 and image.shape[2] == 4:
        return ": for images with transparency, cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)"
    if image.ndim == 3 and image.shape[0] == 3:
        return ": for channels first, image.transpose(1, 2, 0)"
    return ""
