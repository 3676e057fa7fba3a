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


class Detector:
    """An exported model: the same boxes as the one that it came from."""

    def __init__(self, folder: str | Path, threads: int | None = None) -> None:
        """
        Args:
            folder: with infer.yaml and the model.
            threads: of the engine; None lets it choose.

        Raises:
            ValueError: bad settings or model; names the file.
        """
        self.settings = read_settings(folder)
        self.engine = load_engine(self.settings.model_path, self.settings.format, threads)

    def __call__(self, image: np.ndarray) -> Detections:
        """Detections on a BGR uint8 image (H, W, 3)."""
        return self.detect([image])[0]

    def detect(self, images: list[np.ndarray]) -> list[Detections]:
        """Detections on several BGR uint8 images (H, W, 3)."""
        inputs = self.preprocess(images)
        return self.postprocess(self.engine.run(*inputs), inputs[1], [x.shape[:2] for x in images])

    def preprocess(self, images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The inputs of the engine: (N, H, W, 3) uint8 and the sizes (N, 2) int64 of the images.

        Raises:
            ValueError: another number of images than the model takes, or too large a size for it.
        """
        settings = self.settings
        if settings.batch is not None and len(images) != settings.batch:
            raise ValueError(
                f"the model takes {settings.batch} images at a time, not {len(images)}"
            )
        resized = [resize(x, settings) for x in images]
        sizes = np.array([x.shape[:2] for x in resized], dtype=np.int64)
        if settings.fixed_size is None:
            step = settings.size_divisibility
            height, width = (-(-sizes.max(axis=0) // step) * step).tolist()
        else:
            height, width = settings.fixed_size
        canvas = np.zeros((len(images), height, width, 3), np.uint8)
        for row, image in zip(canvas, resized, strict=True):
            row[: image.shape[0], : image.shape[1]] = image
        return canvas, sizes

    def postprocess(
        self, outputs: list[np.ndarray], sizes: np.ndarray, originals: list[tuple[int, int]]
    ) -> list[Detections]:
        """Boxes in px of the images, above the threshold.

        Args:
            outputs: of the engine.
            sizes: (N, 2) of the resized images.
            originals: N pairs of height and width of the images.
        """
        found = []
        for boxes, scores, classes, size, original in zip(*outputs, sizes, originals, strict=True):
            scale = np.array([original[1] / size[1], original[0] / size[0]] * 2, np.float32)
            limits = np.array([original[1], original[0]] * 2, np.float32)
            boxes = np.clip(boxes * scale, 0, limits)
            good = (scores > self.settings.score_threshold) & (boxes[:, 2:] > boxes[:, :2]).all(1)
            found.append(Detections(boxes[good], scores[good], classes[good]))
        return found


def resized_size(height: int, width: int, short_side: int, long_side: int) -> tuple[int, int]:
    """Height and width after detectron2's resize to a short side, at least 1 px each."""
    scale = short_side / min(height, width)
    if height < width:
        new_height, new_width = short_side, scale * width
    else:
        new_height, new_width = scale * height, short_side
    if max(new_height, new_width) > long_side:
        scale = long_side / max(new_height, new_width)
        new_height, new_width = new_height * scale, new_width * scale
    return max(int(new_height + 0.5), 1), max(int(new_width + 0.5), 1)


def resize(image: np.ndarray, settings: Settings) -> np.ndarray:
    """What training did: Pillow's antialiased bilinear resize; in the model's channel order."""
    if settings.image_format == "RGB":
        image = image[:, :, ::-1]
    limit = settings.fixed_size
    height, width = resized_size(*image.shape[:2], settings.short_side, settings.long_side)
    if limit is not None and (height > limit[0] or width > limit[1]):
        shrink = min(limit[0] / height, limit[1] / width)
        height, width = max(int(height * shrink), 1), max(int(width * shrink), 1)
    resized = Image.fromarray(np.ascontiguousarray(image)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    return np.asarray(resized)
