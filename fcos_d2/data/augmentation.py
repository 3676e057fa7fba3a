"""Augmentations that detectron2 lacks or gets wrong."""

import sys

import numpy as np
import torch
import torch.nn.functional as F
from detectron2.data import transforms as T
from PIL import Image

from .resize import FastResizeTransform
from .seeding import as_the_batch


class ResizeShortestEdge(T.ResizeShortestEdge):
    """detectron2's resize to a short side, to the same pixels; of a very thin image one is kept.

    There the limit on the long side rounds the short one to 0 (2000 x 1 px at 224 to 400).
    """

    transform: type[T.ResizeTransform] = T.ResizeTransform

    def __init__(
        self,
        short_edge_length: int | tuple[int, ...],
        max_size: int = sys.maxsize,
        sample_style: str = "range",
        interp: int = Image.Resampling.BILINEAR,
        one_size_per_batch: bool = False,
    ) -> None:
        """As detectron2's.

        Args:
            short_edge_length, max_size, sample_style, interp: see detectron2.
            one_size_per_batch: a short side is drawn for each batch of `build_training_loader`, on
                all processes, and not for each image: less is padded.
        """
        super().__init__(short_edge_length, max_size, sample_style, interp)
        self.one_size_per_batch = one_size_per_batch

    @classmethod
    def like(
        cls, other: T.ResizeShortestEdge, one_size_per_batch: bool = False
    ) -> "ResizeShortestEdge":
        """The same settings as `other`, and whether a batch has one size."""
        style = "range" if other.is_range else "choice"
        return cls(other.short_edge_length, other.max_size, style, other.interp, one_size_per_batch)

    def get_transform(self, image: np.ndarray) -> T.Transform:
        """`image` is (H, W, C); see detectron2."""
        with as_the_batch(self.one_size_per_batch):
            return self._drawn_transform(image)

    def _drawn_transform(self, image: np.ndarray) -> T.Transform:
        transform = super().get_transform(image)
        is_resize = isinstance(transform, T.ResizeTransform)
        return _at_least_one_pixel(self.transform, transform) if is_resize else transform


class FastResizeShortestEdge(ResizeShortestEdge):
    """The same for training, and much faster: within 1 grey level of Pillow."""

    transform = FastResizeTransform


class ResizeScale(T.ResizeScale):
    """detectron2's large-scale jitter, faster, and of a very thin image one pixel is kept.

    Source: arXiv 2012.07177.
    """

    def get_transform(self, image: np.ndarray) -> T.Transform:
        """`image` is (H, W, C); see detectron2."""
        return _at_least_one_pixel(FastResizeTransform, super().get_transform(image))


class TorchResizeShortestEdge(ResizeShortestEdge):
    """The resize of torchvision's detectors: bilinear in float, sizes rounded down.

    Downscaling averages fewer pixels than Pillow does, and grey levels are not rounded.

    Source: `GeneralizedRCNNTransform` of torchvision.
    """

    def _drawn_transform(self, image: np.ndarray) -> T.Transform:
        height, width = image.shape[:2]
        if self.is_range:
            short, last = self.short_edge_length
            short = np.random.randint(short, last + 1)
        else:
            short = np.random.choice(self.short_edge_length)
        scale = min(short / min(height, width), self.max_size / max(height, width))
        new_height, new_width = (max(int(side * scale), 1) for side in (height, width))
        return TorchResizeTransform(height, width, new_height, new_width)


class TorchResizeTransform(T.ResizeTransform):
    """Resizes by bilinear interpolation between neighbouring pixels, without rounding."""

    def __init__(self, h: int, w: int, new_h: int, new_w: int) -> None:
        """Sizes before and after, px."""
        super().__init__(h, w, new_h, new_w)

    def apply_image(self, img: np.ndarray, interp: object = None) -> np.ndarray:
        """(H, W, C) of any type -> (new_h, new_w, C) float32, grey levels.

        Args:
            img: the image.
            interp: given for segmentations only, which detectron2 resizes.
        """
        if interp is not None:
            return super().apply_image(img, interp)
        chw = torch.from_numpy(np.ascontiguousarray(img.transpose(2, 0, 1), dtype=np.float32))
        size = (self.new_h, self.new_w)
        resized = F.interpolate(chw[None], size, mode="bilinear", align_corners=False)[0]
        return resized.permute(1, 2, 0).numpy()


def _at_least_one_pixel(kind: type[T.ResizeTransform], like: T.ResizeTransform) -> T.Transform:
    return kind(like.h, like.w, max(like.new_h, 1), max(like.new_w, 1), like.interp)
