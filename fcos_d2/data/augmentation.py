"""Augmentations that detectron2 lacks or gets wrong."""

import numpy as np
from detectron2.data import transforms as T


class ResizeShortestEdge(T.ResizeShortestEdge):
    """detectron2's resize to a short side, which keeps at least one pixel of a very thin image.

    There the limit on the long side rounds the short one to 0 (2000 x 1 px at 224 to 400).
    """

    @classmethod
    def like(cls, other: T.ResizeShortestEdge) -> "ResizeShortestEdge":
        """The same settings as `other`."""
        style = "range" if other.is_range else "choice"
        return cls(other.short_edge_length, other.max_size, style, other.interp)

    def get_transform(self, image: np.ndarray) -> T.Transform:
        """`image` is (H, W, C); see detectron2."""
        transform = super().get_transform(image)
        if isinstance(transform, T.ResizeTransform):
            transform.new_h, transform.new_w = max(transform.new_h, 1), max(transform.new_w, 1)
        return transform
