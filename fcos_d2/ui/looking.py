"""The detector behind the page: images come as bytes, answers go as plain values for JSON."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from fcos_deploy.vision import class_color, read_image

from ..pages import data_url
from ..predictor import Predictor

# The page gets all detections above it and applies its own threshold to them.
FLOOR = 0.05
MAX_SIDE = 4096  # of the pictures that go to the page, px; boxes stay in the pixels of the image
THUMBNAIL = 240  # px, likewise
QUALITY = 92  # of these pictures, as JPEG


class Looker:
    """Looks at one image at a time, whatever the number of requests."""

    def __init__(self, predictor: Predictor, name: str, threshold: float = 0.5) -> None:
        """
        Args:
            predictor: made with `FLOOR` as its threshold.
            name: of the weights, for the page.
            threshold: where the page begins.
        """
        self._predictor, self._name, self._threshold = predictor, Path(name).name, threshold
        self._lock = Lock()

    def describe(self) -> dict:
        """The model, its classes with their colours, and where the threshold begins."""
        names = self._predictor.class_names
        colors = [class_color(i)[::-1] for i in range(len(names))]
        return {
            "name": self._name,
            "classes": [
                {"name": name, "color": "#{:02x}{:02x}{:02x}".format(*color)}
                for name, color in zip(names, colors, strict=True)
            ],
            "floor": FLOOR,
            "threshold": self._threshold,
            "class_thresholds": [self._threshold] * len(names),
        }

    def detect(self, content: Callable[[], bytes]) -> dict:
        """All detections above the floor, best first, and the picture as the detector saw it.

        Args:
            content: reads the image file; called when the image's turn has come, so that no more
                than one file is in memory.

        Raises:
            ImageError: not an image, or a damaged one.
        """
        with self._lock:
            image = read_image(content())
            found = self._predictor.detect(image)
        height, width = image.shape[:2]
        return {
            "width": width,
            "height": height,
            "objects": [
                {"box": box, "score": score, "class": label}
                for box, score, label in zip(
                    found.boxes.tolist(),
                    found.scores.tolist(),
                    found.classes.tolist(),
                    strict=True,
                )
            ],
            "picture": picture_url(image, MAX_SIDE),
            "thumbnail": picture_url(image, THUMBNAIL),
        }

    def why(
        self, content: Callable[[], bytes], box: Sequence[float], class_name: str | None
    ) -> dict:
        """Why an object was found, or not.

        Args:
            content: see `detect`.
            box: of the object, xyxy px of the image.
            class_name: of the object; None: of any.

        Raises:
            ImageError: not an image, or a damaged one.
            ValueError: a box without area or outside the image, or an unknown class.
        """
        raise NotImplementedError


def picture_url(image: np.ndarray, side: int) -> str:
    """A picture for the page, as a data URL.

    Args:
        image: uint8 BGR (H, W, 3).
        side: longest that it may have, px.
    """
    scale = side / max(image.shape[:2])
    if scale < 1:
        height, width = (max(round(x * scale), 1) for x in image.shape[:2])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return data_url(image, QUALITY)
