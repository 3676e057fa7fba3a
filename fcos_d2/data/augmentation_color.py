"""Changes of colour, which leave boxes where they are."""

import cv2
import numpy as np
from detectron2.data import transforms as T

_TO_HSV = {"BGR": cv2.COLOR_BGR2HSV_FULL, "RGB": cv2.COLOR_RGB2HSV_FULL}
_FROM_HSV = {"BGR": cv2.COLOR_HSV2BGR_FULL, "RGB": cv2.COLOR_HSV2RGB_FULL}


class HueSaturationTransform(T.NoOpTransform):
    """Turns the colour circle and scales its radius."""

    def __init__(self, turn: float, factor: float, image_format: str) -> None:
        """
        Args:
            turn: of the hue, as a share of the circle.
            factor: of the saturation.
            image_format: "BGR" or "RGB".
        """
        super().__init__()
        self.turn = turn
        self.factor = factor
        self.image_format = image_format

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """(H, W, 3) grey levels -> the same as uint8."""
        # The hue is in [0, 256), whose overflow is the way around the circle.
        hsv = cv2.cvtColor(_to_uint8(img), _TO_HSV[self.image_format])
        levels = np.arange(256)
        hues = (levels + round(self.turn * 256)) % 256
        saturations = np.clip(levels * self.factor, 0, 255).round()
        table = np.stack((hues, saturations, levels), axis=-1).astype(np.uint8)
        return cv2.cvtColor(cv2.LUT(hsv, table[None]), _FROM_HSV[self.image_format])


class BlendByTable(T.BlendTransform):
    """detectron2's blend with one grey level: the same pixels, about ten times as fast."""

    @classmethod
    def like(cls, other: T.BlendTransform) -> "BlendByTable":
        """The same blend as `other`, whose image is a number."""
        return cls(other.src_image, other.src_weight, other.dst_weight)

    def apply_image(self, img: np.ndarray, interp: str | None = None) -> np.ndarray:
        """(H, W, C) grey levels -> the same; see detectron2."""
        if img.dtype != np.uint8:
            return super().apply_image(img, interp)
        table = super().apply_image(np.arange(256, dtype=np.uint8), interp)
        return cv2.LUT(img, table).reshape(img.shape)  # OpenCV drops a single channel


class RandomBrightness(T.RandomBrightness):
    """detectron2's, faster."""

    def get_transform(self, image: np.ndarray) -> BlendByTable:
        """`image` is (H, W, C)."""
        return BlendByTable.like(super().get_transform(image))


class RandomContrast(T.RandomContrast):
    """detectron2's, faster."""

    def get_transform(self, image: np.ndarray) -> BlendByTable:
        """`image` is (H, W, C)."""
        return BlendByTable.like(super().get_transform(image))


class RandomHueSaturation(T.Augmentation):
    """Hue and saturation by random amounts."""

    def __init__(self, hue: float, saturation: float, image_format: str) -> None:
        """
        Args:
            hue: largest turn, either way, as a share of the circle, in [0, 0.5].
            saturation: largest change of the factor from 1, in [0, 1].
            image_format: "BGR" or "RGB".
        """
        super().__init__()
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> T.Transform:
        """`image` is (H, W, 3)."""
        turn = np.random.uniform(-self.hue, self.hue)
        factor = 1 + np.random.uniform(-self.saturation, self.saturation)
        return HueSaturationTransform(turn, factor, self.image_format)


def color_jitter(
    *,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
    image_format: str = "BGR",
) -> list[T.Augmentation]:
    """The augmentations that change these; none for those that are 0.

    Args:
        brightness, contrast, saturation: largest change of the factor from 1, in [0, 1].
        hue: largest turn of the colour circle, either way, in [0, 0.5].
        image_format: "BGR" or "RGB".

    Raises:
        ValueError: a value outside its range, or another format.
    """
    limits = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5}
    values = (brightness, contrast, saturation, hue)
    for (name, limit), value in zip(limits.items(), values, strict=True):
        if not 0 <= value <= limit:
            raise ValueError(
                f"INPUT.COLOR_JITTER.{name.upper()} must be in [0, {limit:g}], got {value}"
            )
    if image_format not in _TO_HSV:
        raise ValueError(f"INPUT.FORMAT must be BGR or RGB to change colours, got {image_format!r}")
    augmentations = []
    if brightness:
        augmentations.append(RandomBrightness(1 - brightness, 1 + brightness))
    if contrast:
        augmentations.append(RandomContrast(1 - contrast, 1 + contrast))
    if saturation or hue:
        augmentations.append(RandomHueSaturation(hue, saturation, image_format))
    return augmentations


def _to_uint8(image: np.ndarray) -> np.ndarray:
    return image if image.dtype == np.uint8 else np.clip(image, 0, 255).round().astype(np.uint8)
