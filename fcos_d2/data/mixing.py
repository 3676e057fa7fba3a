"""Training images made of several.

Partners are drawn from all records by numpy's random numbers, and nothing is kept from one call to
the next: a sample follows from its record and its seed alone, in any worker.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from detectron2.data import transforms as T

from fcos_deploy.image import ImageError

from .copy_paste import paste_instances
from .resize import FastResizeTransform
from .sample import Sample

TRIES = 10  # records drawn for one partner before it is done without


class ImageMixing:
    """Mosaic, MixUp and copy-paste, each with a probability, in this order."""

    def __init__(
        self,
        *,
        mosaic_prob: float = 0.0,
        mosaic_images: int = 4,
        mosaic_size: int = 640,
        mixup_prob: float = 0.0,
        copy_paste_prob: float = 0.0,
        close_at_iteration: float = math.inf,
        min_visible: float = 0.1,
        pad_value: int = 114,
        with_masks: bool = False,
    ) -> None:
        """
        Args:
            mosaic_prob, mixup_prob, copy_paste_prob: shares of the images.
            mosaic_images: 4 or 9.
            mosaic_size: side of a mosaic, px.
            close_at_iteration: from it on, images stay as they are.
            min_visible: least share of its area that a box keeps, or it is left out.
            pad_value: grey level where no image is.
            with_masks: the segmentations are wanted, too; they become bitmasks.

        Raises:
            ValueError: a value that is not possible.
        """
        if mosaic_images not in (4, 9):
            raise ValueError(f"INPUT.MIX.MOSAIC_IMAGES must be 4 or 9, got {mosaic_images}")
        if mosaic_size < 32:
            raise ValueError(f"INPUT.MIX.MOSAIC_SIZE must be at least 32, got {mosaic_size}")
        for prob in (mosaic_prob, mixup_prob, copy_paste_prob):
            if not 0 <= prob <= 1:
                raise ValueError(f"INPUT.MIX.*_PROB must be in [0, 1], got {prob}")
        self.mosaic_prob = mosaic_prob
        self.mosaic_images = mosaic_images
        self.mosaic_size = mosaic_size
        self.mixup_prob = mixup_prob
        self.copy_paste_prob = copy_paste_prob
        self.close_at_iteration = close_at_iteration
        self.min_visible = min_visible
        self.pad_value = pad_value
        self.with_masks = with_masks or copy_paste_prob > 0
        self.records: Sequence[dict] = ()

    def __call__(
        self, record: dict, image: np.ndarray, read: Callable[[dict], np.ndarray]
    ) -> tuple[dict, np.ndarray]:
        """
        Args:
            record: of the image, with annotations; may hold its "iteration".
            image: (H, W, 3) uint8.
            read: gives the image of a record, or raises ImageError.

        Returns:
            A record with the annotations of what the image shows now, and the image.
        """
        if record.get("iteration", -1) >= self.close_at_iteration:
            return record, image
        mixed = sample = Sample.of_record(record, image, self.with_masks)
        if np.random.rand() < self.mosaic_prob:
            others = [self._partner(read) for _ in range(self.mosaic_images - 1)]
            mixed = self.mosaic([sample, *(x for x in others if x is not None)])
        if np.random.rand() < self.mixup_prob and (partner := self._partner(read)):
            mixed = self.mixup(mixed, partner)
        if np.random.rand() < self.copy_paste_prob and (partner := self._partner(read)):
            mixed = paste_instances(mixed, partner, self.min_visible)
        if mixed is sample:
            return record, image
        height, width = mixed.image.shape[:2]
        changes = {"height": height, "width": width, "annotations": mixed.annotations}
        return {**record, **changes}, mixed.image

    def _partner(self, read: Callable[[dict], np.ndarray]) -> Sample | None:
        """A random image; None where none could be read."""
        for _ in range(TRIES if len(self.records) else 0):
            record = self.records[np.random.randint(len(self.records))]
            try:
                return Sample.of_record(record, read(record), self.with_masks)
            except ImageError:
                continue  # it has been counted
        return None

    def mosaic(self, samples: list[Sample]) -> Sample:
        """Random windows of the samples side by side, in 2 x 2 or 3 x 3 cells of random size.

        Args:
            samples: at least one; where there are fewer than cells, they come again.

        Source: arXiv 2004.10934, section 3.3.
        """
        per_side = math.isqrt(self.mosaic_images)
        columns, rows = (_random_borders(self.mosaic_size, per_side) for _ in range(2))
        canvas = np.full((self.mosaic_size, self.mosaic_size, 3), self.pad_value, np.uint8)
        annotations = []
        for i in range(self.mosaic_images):
            row, column = divmod(i, per_side)
            top, bottom = rows[row : row + 2]
            left, right = columns[column : column + 2]
            sample = samples[i % len(samples)]
            # Objects keep their size on average where four images share the canvas.
            long_side = self.mosaic_size * np.random.uniform(0.6, 1.4) * 2 / per_side
            scale = long_side / max(sample.image.shape[:2])
            window = self._window(sample, scale, bottom - top, right - left)
            height, width = window.image.shape[:2]
            canvas[top : top + height, left : left + width] = window.image
            annotations += window.annotations_within(canvas.shape[:2], top, left)
        return Sample(canvas, annotations)

    def mixup(self, sample: Sample, partner: Sample) -> Sample:
        """The mean of two images, with the boxes of both.

        The partner is scaled to fit into the size of `sample`, and put somewhere in it.

        Source: arXiv 1710.09412; the equal weights as in YOLOX, arXiv 2107.08430.
        """
        height, width = sample.image.shape[:2]
        fitting = min(height / partner.image.shape[0], width / partner.image.shape[1])
        window = self._window(partner, fitting * np.random.uniform(0.5, 1), height, width)
        top = np.random.randint(height - window.image.shape[0] + 1)
        left = np.random.randint(width - window.image.shape[1] + 1)
        other = np.full_like(sample.image, self.pad_value)
        other[top:, left:][: window.image.shape[0], : window.image.shape[1]] = window.image
        mean = (sample.image.astype(np.uint16) + other + 1) // 2
        added = window.annotations_within((height, width), top, left)
        return Sample(mean.astype(np.uint8), sample.annotations + added)

    def _window(self, sample: Sample, scale: float, height: int, width: int) -> Sample:
        """A random window of the scaled image, as large as it is but at most `height` x `width`."""
        old_height, old_width = sample.image.shape[:2]
        new_height, new_width = (max(round(x * scale), 1) for x in (old_height, old_width))
        height, width = min(height, new_height), min(width, new_width)
        top = np.random.randint(new_height - height + 1)
        left = np.random.randint(new_width - width + 1)
        transforms = [
            FastResizeTransform(old_height, old_width, new_height, new_width),
            T.CropTransform(left, top, width, height, new_width, new_height),
        ]
        return sample.transformed(T.TransformList(transforms), self.min_visible)


def _random_borders(side: int, parts: int) -> list[int]:
    """Where the parts of a side begin and end: each border at most a quarter of a part away."""
    jitter = np.random.uniform(-0.25, 0.25, parts - 1)
    inner = (np.arange(1, parts) + jitter) * side / parts
    return [0, *inner.round().astype(int).tolist(), side]
