"""The detector behind the page: images come as bytes, answers go as plain values for JSON."""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from fcos_deploy.vision import class_color, read_image

from ..predictor import Predictor

# The page gets all detections above it and applies its own threshold to them.
FLOOR = 0.05
MAX_SIDE = 4096  # of the pictures that go to the page, px; boxes stay in the pixels of the image
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
            "picture": as_jpeg(image),
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


def as_jpeg(image: np.ndarray) -> str:
    """A picture for the page, no larger than `MAX_SIDE`: base64 of a JPEG file.

    Args:
        image: uint8 BGR (H, W, 3).
    """
    scale = MAX_SIDE / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return base64.b64encode(jpeg.tobytes()).decode()
