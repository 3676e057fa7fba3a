"""From images to detections."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from .engines import load_engine
from .grouping import canvas_size, groups_of_one_canvas
from .settings import Settings, read_settings
from .thresholds import thresholds_of
from .vision import GivenImage, bgr_images, shows_objects


class Detections(NamedTuple):
    """D objects of one image, best first."""

    boxes: np.ndarray  # (D, 4) float32 xyxy, px of the image
    scores: np.ndarray  # (D,) float32 in (0, 1]
    classes: np.ndarray  # (D,) int64 in [0, K)

    def above(self, score: float) -> "Detections":
        """Only those with a score above `score`."""
        good = self.scores > score
        return Detections(*(field[good] for field in self))


class Detector:
    """An exported model; it finds what the model it was exported from finds.

    Attributes:
        settings: the content of infer.yaml, with the score thresholds that are obeyed.
        engine: runs the graph.
    """

    def __init__(
        self, folder: str | Path, threads: int | None = None, score_threshold: object = None
    ) -> None:
        """
        Args:
            folder: holds infer.yaml and the model.
            threads: of the engine; None lets it choose.
            score_threshold: lowest score of a detection, in [0, 1], or a mapping from the name of
                each class to its own; None: what infer.yaml says.

        Raises:
            ValueError: bad settings, model or threshold; names it.
        """
        self.settings = read_settings(folder)
        if self.settings.raw_heads:
            raise ValueError(
                f"{folder}: exported with --raw-heads, for engines that do their own suppression"
            )
        if score_threshold is not None:
            score = thresholds_of(score_threshold, self.settings.class_names)
            self.settings = replace(self.settings, score=score)
        self._lowest = np.array(self.settings.score, np.float32)
        self.engine = load_engine(self.settings, threads)

    def __call__(self, image: GivenImage) -> Detections:
        """Detections on one image, see `detect`."""
        return self.detect([image])[0]

    def detect(self, images: Iterable[GivenImage]) -> list[Detections]:
        """Detections on several images, the same as on each one alone.

        Several threads may call it at the same time.

        Args:
            images: BGR uint8 (H, W, 3) arrays, paths or Pillow images, of any sizes.

        Raises:
            ImageError: a file cannot be read; names it.
            ValueError: an array of another shape or type, or without pixels, or more images than
                the model takes.
        """
        arrays = bgr_images(images)
        batches = self.preprocess(arrays)
        outputs = [self.engine.run(*batch.inputs) for batch in batches]
        return self.postprocess(batches, outputs, [image.shape[:2] for image in arrays])

    def preprocess(self, images: list[np.ndarray]) -> list["Batch"]:
        """What the engine runs on: images of one canvas together, see `groups_of_one_canvas`.

        For a model with a fixed number of images, blank ones fill the batch.

        Args:
            images: BGR uint8 (H, W, 3) each.

        Raises:
            ValueError: more images than the model takes.
        """
        settings = self.settings
        if settings.batch is not None and len(images) > settings.batch:
            raise ValueError(
                f"the model takes {settings.batch} images at a time, got {len(images)}"
            )
        resized = [resize(image, settings) for image in images]
        step = settings.size_divisibility
        canvases = [settings.fixed_size or canvas_size(x.shape[:2], step) for x in resized]
        return [
            Batch(group, self._inputs([resized[i] for i in group], canvases[group[0]]))
            for group in groups_of_one_canvas(canvases, 1)
        ]

    def _inputs(
        self, resized: list[np.ndarray], canvas: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        num = self.settings.batch or len(resized)
        images = np.zeros((num, *canvas, 3), np.uint8)
        sizes = np.ones((num, 2), np.int64)
        for i, image in enumerate(resized):
            sizes[i] = image.shape[:2]
            images[i, : sizes[i, 0], : sizes[i, 1]] = image
        return images, sizes

    def postprocess(
        self,
        batches: list["Batch"],
        outputs: list[list[np.ndarray]],
        originals: list[tuple[int, int]],
    ) -> list[Detections]:
        """Detections in pixels of the images, in their order.

        Args:
            batches: from `preprocess`.
            outputs: of the engine, for each of them.
            originals: height and width of each image.
        """
        found: dict[int, Detections] = {}
        for batch, fields in zip(batches, outputs, strict=True):
            for position, size, *row in zip(
                batch.positions, batch.inputs[1], *fields, strict=False
            ):
                boxes, scores, classes = row
                found[position] = self._in_image(boxes, scores, classes, size, originals[position])
        return [found[i] for i in range(len(originals))]

    def _in_image(
        self,
        boxes: np.ndarray,
        scores: np.ndarray,
        classes: np.ndarray,
        size: np.ndarray,
        original: tuple[int, int],
    ) -> Detections:
        height, width = original
        scale = np.array([width / size[1], height / size[0]] * 2, np.float32)
        boxes = np.clip(boxes * scale, 0, np.array([width, height] * 2, np.float32))
        good = (scores > 0) & (scores >= self._lowest[classes])
        good &= (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        good &= shows_objects(height, width)
        return Detections(boxes[good], scores[good], classes[good])


class Batch(NamedTuple):
    """Images that the engine runs on together."""

    positions: list[int]  # among the images that were handed over
    inputs: tuple[np.ndarray, np.ndarray]  # (N, H, W, 3) uint8, and (N, 2) int64 sizes in it


def resized_size(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """Height and width after the resize: that of detectron2's `ResizeShortestEdge`, at least 1 px,
    and no more than a model of fixed size takes.
    """
    scale = settings.short_side / min(height, width)
    exact: list[float] = [settings.short_side, scale * width]
    if height >= width:
        exact = [scale * height, settings.short_side]
    if max(exact) > settings.long_side:
        scale = settings.long_side / max(exact)
        exact = [side * scale for side in exact]
    new = [max(int(side + 0.5), 1) for side in exact]
    limit = settings.fixed_size
    if limit is not None and (new[0] > limit[0] or new[1] > limit[1]):
        shrink = min(limit[0] / new[0], limit[1] / new[1])
        new = [max(int(side * shrink), 1) for side in new]
    return new[0], new[1]


def resize(image: np.ndarray, settings: Settings) -> np.ndarray:
    """The image in the model's size and channel order, by Pillow's antialiased bilinear resize.

    The pixels are exactly those of evaluation.
    """
    height, width = resized_size(image.shape[0], image.shape[1], settings)
    if image.shape[:2] != (height, width):
        picture = Image.fromarray(np.ascontiguousarray(image))
        image = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    return image[:, :, ::-1] if settings.image_format == "RGB" else image
