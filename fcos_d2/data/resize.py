"""Resize of uint8 images, antialiased like Pillow's, but much faster."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from detectron2.data import transforms as T
from PIL import Image


class FastResizeTransform(T.ResizeTransform):
    """detectron2's resize; bilinear ones of colour images stay within 1 grey level of Pillow's.

    - Larger: by OpenCV, which rounds once where Pillow rounds after each side. About 1 value in 5
      differs.
    - To half the size or less: by torch's kernel, whose weights have fewer bits. About 1 value in
      300 differs. Between half and full size the two may differ by 2 at 1 value in 100,000.
    - All else: by Pillow.
    """

    def __init__(
        self, h: int, w: int, new_h: int, new_w: int, interp: int = Image.Resampling.BILINEAR
    ) -> None:
        """Sizes before and after, px; `interp` is one of Pillow's methods."""
        super().__init__(h, w, new_h, new_w, interp)

    def apply_image(self, img: np.ndarray, interp: int | None = None) -> np.ndarray:
        """(H, W, C) or (H, W) -> the new size; see detectron2.

        Args:
            img: the image.
            interp: given for segmentations only, which detectron2 resizes.
        """
        bilinear = interp is None and self.interp == Image.Resampling.BILINEAR
        if bilinear and img.dtype == np.uint8 and img.shape == (self.h, self.w, 3):
            if self.new_h >= self.h and self.new_w >= self.w:
                return _enlarge(img, (self.new_h, self.new_w))
            if 2 * self.new_h <= self.h and 2 * self.new_w <= self.w:
                return _shrink(img, (self.new_h, self.new_w))
        return super().apply_image(img, interp)


def to_planes(image: np.ndarray) -> np.ndarray:
    """(H, W, C) -> (C, H, W), contiguous, of the same type; a view if it lies so in memory."""
    mirrored = image.strides[1] < 0
    if image.dtype != np.uint8 or not (mirrored or image.flags.c_contiguous):
        return np.ascontiguousarray(image.transpose(2, 0, 1))
    planes = np.empty((image.shape[2], *image.shape[:2]), np.uint8)
    if not mirrored:  # twice as fast as numpy
        cv2.split(image, list(planes))
        return planes
    # numpy copies mirrored views byte by byte.
    for plane, source in zip(planes, image[:, ::-1].transpose(2, 0, 1), strict=True):
        cv2.flip(source, 1, plane)
    return planes


def _enlarge(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    # Channel by channel, as the network needs them: a second copy would take as long.
    planes = np.empty((3, *size), np.uint8)
    for channel, plane in enumerate(planes):
        source = cv2.extractChannel(image, channel)
        cv2.resize(source, size[::-1], plane, interpolation=cv2.INTER_LINEAR)
    return planes.transpose(1, 2, 0)


def _shrink(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    # torch warns of arrays that it could not write to.
    writable = image if image.flags.writeable else image.copy()
    # The (1, 3, H, W) view of an (H, W, 3) array is what torch calls channels_last.
    nchw = torch.from_numpy(np.ascontiguousarray(writable)).permute(2, 0, 1)[None]
    shrunk = F.interpolate(nchw, size, mode="bilinear", antialias=True, align_corners=False)
    return shrunk[0].permute(1, 2, 0).numpy()
