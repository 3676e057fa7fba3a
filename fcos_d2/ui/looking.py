"""The detector behind the page: images come as bytes, answers go as plain values for JSON."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

import numpy as np

from fcos_deploy.thresholds import DRAWN, as_written
from fcos_deploy.vision import Color, class_color, read_image, resized

from ..evaluation.why import explain
from ..evaluation.why.explanation import COLUMNS
from ..pages import data_url
from ..predictor import Predictor

# The page gets all detections from it and applies its own thresholds to them.
FLOOR = 0.05
MAX_SIDE = 4096  # of the pictures that go to the page, px; boxes stay in the pixels of the image
THUMBNAIL = 240  # px, likewise
QUALITY = 92  # of these pictures, as JPEG


class Looker:
    """Looks at one image at a time, whatever the number of requests."""

    def __init__(self, predictor: Predictor, name: str) -> None:
        """
        Args:
            predictor: whose thresholds, where its config has some, are those that the page begins
                with. They change with each request.
            name: of the weights, for the page.
        """
        self._predictor, self._name = predictor, Path(name).name
        self._lock = Lock()
        names = predictor.class_names
        self._thresholds = predictor.config_thresholds or (DRAWN,) * len(names)
        self._floor = min(FLOOR, *self._thresholds)

    def describe(self) -> dict:
        """The model, its classes with their colours, and the thresholds to begin with."""
        names = self._predictor.class_names
        classes = [
            {"name": name, "color": _hexadecimal(class_color(i)), "threshold": threshold}
            for i, (name, threshold) in enumerate(zip(names, self._thresholds, strict=True))
        ]
        return {"name": self._name, "classes": classes, "floor": self._floor}

    def detect(self, content: Callable[[], bytes]) -> dict:
        """All detections from the floor, best first, and the picture as the detector saw it.

        Args:
            content: reads the image file; called when the image's turn has come, so that no more
                than one file is in memory.

        Raises:
            ImageError: not an image, or a damaged one.
        """
        with self._lock:
            image = read_image(content())
            self._predictor.set_threshold(self._floor)
            found = self._predictor.detect(image)
        height, width = image.shape[:2]
        columns = found.boxes.tolist(), found.scores.tolist(), found.classes.tolist()
        return {
            "width": width,
            "height": height,
            "objects": [
                {"box": box, "score": score, "class": label}
                for box, score, label in zip(*columns, strict=True)
            ],
            "picture": picture_url(image, MAX_SIDE),
            "thumbnail": picture_url(image, THUMBNAIL),
        }

    def why(
        self,
        content: Callable[[], bytes],
        box: Sequence[float],
        class_name: str | None,
        thresholds: Sequence[float],
    ) -> dict:
        """Why an object was found, or not.

        Args:
            content: see `detect`.
            box: of the object, xyxy px of the image.
            class_name: of the object; None: of any.
            thresholds: lowest score of each class.

        Raises:
            ImageError: not an image, or a damaged one.
            ValueError: a box without area or outside the image, an unknown class, thresholds out
                of range, or a detector of another kind than can be explained.
        """
        names = self._predictor.class_names
        if len(thresholds) != len(names):
            raise ValueError(f"{len(names)} thresholds are needed, got {len(thresholds)}")
        with self._lock:
            image = read_image(content())
            self._predictor.set_threshold(as_written(tuple(thresholds), names))
            answer = explain(self._predictor, image, box, class_name)
            return {
                "step": answer.step,
                "paragraph": answer.paragraph,
                "columns": COLUMNS,
                "rows": [row.cells() for row in answer.rows],
                "picture": data_url(answer.draw(), QUALITY),
            }


def _hexadecimal(color: Color) -> str:
    blue, green, red = color
    return f"#{red:02x}{green:02x}{blue:02x}"


def picture_url(image: np.ndarray, side: int) -> str:
    """A picture for the page, as a data URL.

    Args:
        image: uint8 BGR (H, W, 3).
        side: longest that it may have, px.
    """
    scale = side / max(image.shape[:2])
    return data_url(resized(image, scale) if scale < 1 else image, QUALITY)
