"""From images to detections."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from .engines import load_engine
from .settings import Settings, read_settings


class Detections(NamedTuple):
    """D objects of one image, best first."""

    boxes: np.ndarray  # (D, 4) float32 xyxy, px of the image
    scores: np.ndarray  # (D,) float32 in (0, 1]
    classes: np.ndarray  # (D,) int64 in [0, K)

    def above(self, score: float) -> "Detections":
        """Those of a score above it."""
        good = self.scores > score
        return Detections(*(field[good] for field in self))


class Detector:
    """An exported model, which finds what the one that it came from finds.

    Attributes:
        settings: what infer.yaml says.
        engine: what runs the graph.
    """

    def __init__(
        self, folder: str | Path, threads: int | None = None, score_threshold: float | None = None
    ) -> None:
        """
        Args:
            folder: with infer.yaml and the model.
            threads: of the engine; None lets it choose.
            score_threshold: lowest score, in [0, 1); None takes that of infer.yaml.

        Raises:
            ValueError: bad settings, model or threshold; names it.
        """
        self.settings = read_settings(folder)
        if self.settings.raw_heads:
            raise ValueError(
                f"{folder}: exported with --raw-heads, for engines with a suppression of their own"
            )
        if score_threshold is not None and not 0 <= score_threshold < 1:
            raise ValueError(f"the score threshold must be in [0, 1), got {score_threshold}")
        self.score = self.settings.score if score_threshold is None else score_threshold
        self.engine = load_engine(self.settings, threads)

    def __call__(self, image: np.ndarray) -> Detections:
        """Detections on one image, see `detect`."""
        return self.detect([image])[0]

    def detect(self, images: list[np.ndarray]) -> list[Detections]:
        """Detections on several images, in one pass.

        Args:
            images: BGR uint8 (H, W, 3) each, of any sizes.

        Raises:
            ValueError: an array of another shape or type, or more images than the model takes.
        """
        inputs = self.preprocess(images)
        outputs = self.engine.run(*inputs)
        return self.postprocess(outputs, inputs[1], [image.shape[:2] for image in images])

    def preprocess(self, images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """What the engine runs on: canvas (N, H, W, 3) uint8, and the sizes (N, 2) int64 in it.

        A model of a fixed number of images gets its canvas filled up.

        Raises:
            ValueError: see `detect`.
        """
        settings = self.settings
        for image in images:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise ValueError(
                    f"image must be a BGR uint8 array (H, W, 3), got {image.dtype} {image.shape}"
                )
        num = settings.batch or len(images)
        if len(images) > num:
            raise ValueError(f"the model takes {num} images at a time, got {len(images)}")
        resized = [resize(image, settings) for image in images]
        sizes = np.array([image.shape[:2] for image in resized], np.int64)
        if settings.fixed_size is None:
            step = settings.size_divisibility
            height, width = (-(-sizes.max(axis=0) // step) * step).tolist()
        else:
            height, width = settings.fixed_size
        canvas = np.zeros((num, height, width, 3), np.uint8)
        for part, image in zip(canvas, resized, strict=False):
            part[: image.shape[0], : image.shape[1]] = image
        return canvas, np.concatenate((sizes, np.ones((num - len(images), 2), np.int64)))

    def postprocess(
        self, outputs: list[np.ndarray], sizes: np.ndarray, originals: list[tuple[int, int]]
    ) -> list[Detections]:
        """Detections in pixels of the images.

        Args:
            outputs: of the engine.
            sizes: (N, 2) in the canvas.
            originals: height and width of each image, at most N.
        """
        found = []
        for boxes, scores, classes, size, original in zip(*outputs, sizes, originals, strict=False):
            scale = np.array([original[1] / size[1], original[0] / size[0]] * 2, np.float32)
            limits = np.array([original[1], original[0]] * 2, np.float32)
            boxes = np.clip(boxes * scale, 0, limits)
            good = (scores > self.score) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
            found.append(Detections(boxes[good], scores[good], classes[good]))
        return found


def resized_size(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """Height and width after the resize: that of detectron2's `ResizeShortestEdge`, at least 1 px,
    and no more than a model of fixed size takes."""
    scale = settings.short_side / min(height, width)
    if height < width:
        new = [settings.short_side, scale * width]
    else:
        new = [scale * height, settings.short_side]
    if max(new) > settings.long_side:
        scale = settings.long_side / max(new)
        new = [side * scale for side in new]
    new = [max(int(side + 0.5), 1) for side in new]
    limit = settings.fixed_size
    if limit is not None and (new[0] > limit[0] or new[1] > limit[1]):
        shrink = min(limit[0] / new[0], limit[1] / new[1])
        new = [max(int(side * shrink), 1) for side in new]
    return new[0], new[1]


def resize(image: np.ndarray, settings: Settings) -> np.ndarray:
    """What the evaluation did, to the very pixels: Pillow's antialiased bilinear resize; in the
    model's channel order."""
    height, width = resized_size(*image.shape[:2], settings)
    if image.shape[:2] != (height, width):
        picture = Image.fromarray(np.ascontiguousarray(image))
        image = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    return image[:, :, ::-1] if settings.image_format == "RGB" else image
