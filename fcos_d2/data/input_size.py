"""How large images, and the objects in them, come out of a list of augmentations."""

from collections.abc import Sequence

import numpy as np
from detectron2.data import transforms as T

from .augmentation_geometry import RandomAffine, RandomCropWithBoxes
from .augmentation_square import CropOrPadToSquare
from .seeding import seeded

RESIZES = (T.ResizeShortestEdge, T.ResizeScale, T.Resize, T.RandomResize)

Size = tuple[int, int]  # height and width, px


class InputSize:
    """Sizes in training and at test time, derived from the augmentations.

    Objects in mixed images should have the size that they have at test time, or the nearest size
    that training gives them.
    """

    def __init__(
        self,
        augmentations: Sequence[T.Augmentation | T.Transform],
        test_resize: T.Augmentation | None = None,
    ) -> None:
        """
        Args:
            augmentations: of training.
            test_resize: the resize at test time; None: the middle of training's sizes counts.
        """
        resizes = [a for a in augmentations if isinstance(a, RESIZES)]
        self.resize = resizes[0] if resizes else None
        self.square = next((_square(a) for a in augmentations if _square(a)), None)
        self.test_resize = test_resize
        self.without_resize = [a for a in augmentations if not isinstance(a, RESIZES)]
        self._zoom = _largest_zoom(augmentations)

    def canvas(self, size: Size) -> Size:
        """What training makes of an image of `size`; drawn anew where that is random."""
        return self.square or resized(self.resize, size)

    def scale(self, size: Size) -> float:
        """Px of the network input for each px of an image of `size`, for its objects."""
        lowest, highest = (_scale(extreme, size) for extreme in _extremes(self.resize, size))
        if self.test_resize is None:
            return (lowest * highest) ** 0.5
        return float(np.clip(_scale(resized(self.test_resize, size), size), lowest, highest))

    def least_to_read(self, size: Size) -> Size | None:
        """Fewer px than these of an image that is to be warped would show; None: all are needed."""
        if self._zoom is None:
            return None
        height, width = _extremes(self.resize, size)[1]
        return min(round(height * self._zoom), size[0]), min(round(width * self._zoom), size[1])


def resized(resize: T.Augmentation | None, size: Size) -> Size:
    """The size that a resize, which may be random, gives an image of `size`."""
    if resize is None:
        return size
    # No memory is behind it: resizes look at the shape alone.
    transform = resize.get_transform(np.broadcast_to(np.uint8(0), (*size, 3)))
    return getattr(transform, "new_h", size[0]), getattr(transform, "new_w", size[1])


def sizes_after(resize: T.Augmentation | None, sizes: Sequence[Size]) -> np.ndarray:
    """The sizes (N, 2) that a resize gives images of N sizes.

    Where it is random, each image has one of its sizes, which is the same each time.
    """
    with seeded(0):
        return np.array([resized(resize, x) for x in sizes], dtype=np.int64).reshape(-1, 2)


def _extremes(resize: T.Augmentation | None, size: Size) -> tuple[Size, Size]:
    """The smallest and the largest size that a resize can give an image of `size`."""
    if isinstance(resize, T.ResizeShortestEdge):
        ends = min(resize.short_edge_length), max(resize.short_edge_length)
        return tuple(T.ResizeShortestEdge.get_output_shape(*size, x, resize.max_size) for x in ends)
    if isinstance(resize, T.ResizeScale):
        target = resize.target_height, resize.target_width
        fitting = min(target[0] / size[0], target[1] / size[1])
        ends = resize.min_scale, resize.max_scale
        low, high = ([max(round(x * fitting * side), 1) for side in size] for x in ends)
        return (low[0], low[1]), (high[0], high[1])
    if isinstance(resize, T.RandomResize):
        by_area = sorted(resize.shape_list, key=lambda shape: shape[0] * shape[1])
        return tuple(by_area[0]), tuple(by_area[-1])
    only = resized(resize, size)
    return only, only


def _scale(new: Size, old: Size) -> float:
    return (new[0] * new[1] / (old[0] * old[1])) ** 0.5


def _square(augmentation: T.Augmentation | T.Transform) -> Size | None:
    if isinstance(augmentation, CropOrPadToSquare):
        return augmentation.side, augmentation.side
    if isinstance(augmentation, T.FixedSizeCrop):
        return tuple(augmentation.crop_size)
    return None


def _largest_zoom(augmentations: Sequence[T.Augmentation | T.Transform]) -> float | None:
    """How far a warped image is enlarged before it is resized; None where nothing is warped.

    Without a warp every px of the file counts: what the resize gives is compared with Pillow's.
    """
    zoom, warps = 1.0, False
    for augmentation in augmentations:
        if isinstance(augmentation, RandomAffine):
            zoom, warps = zoom * max(augmentation.scale[1], 1), warps or augmentation.prob > 0
        elif isinstance(augmentation, RandomCropWithBoxes):
            zoom /= augmentation.min_scale
        elif isinstance(augmentation, RESIZES):
            return zoom if warps else None
        else:  # of which nothing is known
            return None
    return None
