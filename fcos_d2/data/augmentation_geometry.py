"""Warping and cropping, with the boxes that follow."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from detectron2.data import transforms as T

from .augmentation_square import Window

NUM_SCALES = 33  # factors that `likely_scale` chooses from


class PerspectiveTransform(T.Transform):
    """A homography of the image plane; the size stays."""

    def __init__(self, matrix: np.ndarray, pad_value: int = 114) -> None:
        """
        Args:
            matrix: (3, 3), takes positions (x, y, 1) in px to where they go; x = 0 is the left edge
                of the first pixel, not its middle.
            pad_value: grey level where nothing of the image is.
        """
        super().__init__()
        self.matrix = matrix
        self.pad_value = pad_value

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """(H, W, C) uint8 -> the same."""
        return self._warp(img, cv2.INTER_LINEAR, (self.pad_value, self.pad_value, self.pad_value))

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """(H, W) of labels -> the same; 0 where nothing of the image is."""
        return self._warp(segmentation, cv2.INTER_NEAREST, 0)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """(K, 2) x and y, px -> the same."""
        positions = np.concatenate((coords, np.ones_like(coords[:, :1])), axis=1) @ self.matrix.T
        return positions[:, :2] / positions[:, 2:]

    def _warp(
        self, image: np.ndarray, interpolation: int, border: float | Sequence[float]
    ) -> np.ndarray:
        # OpenCV counts from the middle of the first pixel.
        to_edge, to_middle = _shift(0.5, 0.5), _shift(-0.5, -0.5)
        return cv2.warpPerspective(
            image,
            to_middle @ self.matrix @ to_edge,
            image.shape[1::-1],
            flags=interpolation,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=border,
        )


class RandomAffine(T.Augmentation):
    """Turns, scales, shears, shifts and tilts the image about its middle.

    Source: the random perspective of YOLOv5 and YOLOX (arXiv 2107.08430), which goes with Mosaic.
    """

    def __init__(
        self,
        *,
        prob: float = 1.0,
        degrees: float = 0.0,
        translate: float = 0.0,
        scale: tuple[float, float] = (1.0, 1.0),
        shear: float = 0.0,
        perspective: float = 0.0,
        pad_value: int = 114,
    ) -> None:
        """
        Args:
            prob: share of the images that it is done to.
            degrees: largest angle of the turn, either way.
            translate: largest shift, as a share of width and height.
            scale: smallest and largest factor.
            shear: largest angle of each of the two shears, degrees.
            perspective: largest share by which a side of the image gets shorter or longer than
                the opposite one.
            pad_value: grey level where nothing of the image is.

        Raises:
            ValueError: a scale that is not positive or falls, an angle that is no shear, or a
                perspective that turns the image over.
        """
        super().__init__()
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"INPUT.AFFINE.SCALE must be positive and rise, got {tuple(scale)}")
        if not 0 <= shear < 90 or not 0 <= perspective < 1:
            raise ValueError(
                "INPUT.AFFINE.SHEAR must be in [0, 90) and PERSPECTIVE in [0, 1), got "
                f"{shear} and {perspective}"
            )
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> T.Transform:
        """`image` is (H, W, C)."""
        if np.random.rand() >= self.prob:
            return T.NoOpTransform()
        height, width = image.shape[:2]
        angle = math.radians(_either_way(self.degrees))
        scale = likely_scale(self.scale)
        shears = [math.tan(math.radians(_either_way(self.shear))) for _ in range(2)]
        # The far side has 1 + p times the length of the near one.
        tilts = [_either_way(self.perspective) / side for side in (width, height)]
        shift = _either_way(self.translate) * width, _either_way(self.translate) * height

        cos, sin = scale * math.cos(angle), scale * math.sin(angle)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        skew = np.array([[1, shears[0], 0], [shears[1], 1, 0], [0, 0, 1]])
        tilt = np.array([[1, 0, 0], [0, 1, 0], [*tilts, 1]])
        to_origin = _shift(-width / 2, -height / 2)
        back = _shift(width / 2 + shift[0], height / 2 + shift[1])
        return PerspectiveTransform(back @ skew @ turn @ tilt @ to_origin, self.pad_value)


class RandomCropWithBoxes(T.Augmentation):
    """A window of random size and place that holds one box whole, where there is a box."""

    def __init__(self, prob: float = 1.0, min_scale: float = 0.3) -> None:
        """
        Args:
            prob: share of the images that it is done to.
            min_scale: smallest width and height of the window, as a share of those of the image;
                it gets larger where the box is.

        Raises:
            ValueError: `min_scale` outside (0, 1].
        """
        super().__init__()
        if not 0 < min_scale <= 1:
            raise ValueError(f"INPUT.CROP_WITH_BOXES.MIN_SCALE must be in (0, 1], got {min_scale}")
        self._init(locals())

    def get_transform(self, image: np.ndarray, boxes: np.ndarray) -> T.Transform:
        """`image` is (H, W, C), `boxes` are (M, 4) xyxy, px."""
        if np.random.rand() >= self.prob:
            return T.NoOpTransform()
        # A warp before it may have moved boxes out of the image.
        boxes = np.clip(boxes, 0, image.shape[1::-1] * 2)
        boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
        held = boxes[np.random.randint(len(boxes))] if len(boxes) else None
        x, width = self._window(image.shape[1], None if held is None else held[0::2])
        y, height = self._window(image.shape[0], None if held is None else held[1::2])
        return Window(x, y, width, height, image.shape[1], image.shape[0])

    def _window(self, side: int, held: np.ndarray | None) -> tuple[int, int]:
        """First pixel and length along an axis; `held` is where the box begins and ends on it."""
        length = max(round(side * np.random.uniform(self.min_scale, 1)), 1)
        if held is not None:
            begin, end = _whole_pixels(held, side)
            length = max(length, end - begin)
        return random_start(side, length, held), length


def random_start(side: int, length: int, held: np.ndarray | None) -> int:
    """First px of a random window of `length` of a side; what is `held`, begin and end, is in it.

    Something longer than the window fills it.
    """
    lowest, highest = 0, side - length
    if held is not None:
        begin, end = _whole_pixels(held, side)
        first, last = sorted((begin, end - length))
        lowest, highest = max(lowest, first), min(highest, last)
    return np.random.randint(lowest, highest + 1)


def likely_scale(limits: tuple[float, float], window: Sequence[float] = (1.0, 1.0)) -> float:
    """A random factor between `limits`, whose middle is that of the objects, not of the images.

    Of an image at a larger factor a window shows a smaller part, so fewer objects are seen at it;
    such factors are drawn as many times more often.

    Args:
        limits: smallest and largest factor.
        window: its height and width as shares of those of the image at factor 1.
    """
    scales = np.linspace(*limits, NUM_SCALES)
    likelihood = np.prod([np.maximum(scales / side, 1) for side in window], axis=0)
    return float(np.random.choice(scales, p=likelihood / likelihood.sum()))


def _whole_pixels(span: np.ndarray, side: int) -> tuple[int, int]:
    """Begin and end of the px of a side that hold a span, at least one."""
    begin = min(max(math.floor(span[0]), 0), side - 1)
    return begin, max(min(math.ceil(span[1]), side), begin + 1)


def _either_way(limit: float) -> float:
    return np.random.uniform(-limit, limit)


def _shift(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=float)
