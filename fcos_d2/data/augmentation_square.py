"""Squares cut out of images, with a border where an image is smaller."""

import numpy as np
from detectron2.data import transforms as T


class Window(T.CropTransform):
    """detectron2's crop, which leaves polygons whole.

    They are cut when they are drawn into masks. detectron2 cuts them by shapely, which is not among
    our requirements, even where the window is the whole image.
    """

    def apply_polygons(self, polygons: list[np.ndarray]) -> list[np.ndarray]:
        """(K, 2) x and y each, px -> the same."""
        return T.Transform.apply_polygons(self, polygons)


class Border(T.PadTransform):
    """detectron2's border, into which boxes do not reach.

    A crop or warp before it leaves boxes beyond the edge; cut at the end of the border they would
    cover what is no image.
    """

    def apply_box(self, box: np.ndarray) -> np.ndarray:
        """(M, 4) xyxy, px -> the same, cut at the edges of the image."""
        return super().apply_box(np.clip(box, 0, [self.orig_w, self.orig_h] * 2))


class CropOrPadToSquare(T.Augmentation):
    """A random window where a side is too long, a border at the right and bottom where short."""

    def __init__(self, side: int, pad_value: int = 114) -> None:
        """
        Args:
            side: of the square, px.
            pad_value: grey level of the border; masks are 0 there (255 with detectron2's
                FixedSizeCrop, which would count as the object).
        """
        super().__init__()
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> T.Transform:
        """`image` is (H, W, C)."""
        old_height, old_width = image.shape[:2]
        height, width = min(old_height, self.side), min(old_width, self.side)
        # Each axis by itself: with one number for both, corners off the diagonal are never seen.
        top = np.random.randint(old_height - height + 1)
        left = np.random.randint(old_width - width + 1)
        right, bottom = self.side - width, self.side - height
        return T.TransformList(
            [
                Window(left, top, width, height, old_width, old_height),
                Border(0, 0, right, bottom, width, height, self.pad_value, 0),
            ]
        )
