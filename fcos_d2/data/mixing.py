"""Training images composed of more than one image.

Everything is put together at the size of the network input, and objects have the size there that
they have at test time. Partners are drawn from all records by numpy's random numbers, and nothing
is kept from one call to the next: a sample follows from its record and its seed alone, in any
worker.
"""

import logging
import math
from collections.abc import Callable, Sequence

import numpy as np
from detectron2.data import transforms as T
from detectron2.utils.logger import log_first_n

from fcos_deploy.vision import ImageError

from ..sample import Sample
from .augmentation_geometry import likely_scale, random_start
from .copy_paste import paste_instances
from .input_size import InputSize, Size
from .resize import FastResizeTransform

logger = logging.getLogger(__name__)

TRIES = 10  # records drawn for one partner before giving up
WINDOWS = 8  # of which the one that cuts the fewest boxes is taken
# Smallest and largest factor of an image against its size at test time. The middle is above 1,
# because boxes at the borders of windows are cut.
SCALES = (0.8, 1.25)


class ImageMixing:
    """Mosaic, MixUp and copy-paste, each with a probability, in this order."""

    def __init__(
        self,
        *,
        mosaic_prob: float = 0.0,
        mosaic_images: int = 4,
        mosaic_size: int = 0,
        mixup_prob: float = 0.0,
        copy_paste_prob: float = 0.0,
        close_at_iteration: float = math.inf,
        close_share: float = 0.0,
        max_iter: int | None = None,
        min_visible: float = 0.3,
        pad_value: int = 114,
        with_masks: bool = False,
    ) -> None:
        """
        Args:
            mosaic_prob, mixup_prob, copy_paste_prob: shares of the images.
            mosaic_images: 4 or 9.
            mosaic_size: side of a mosaic, px of the network input; 0: a mosaic has the size that
                its first image alone would have.
            close_at_iteration: from it on, images are not mixed; overrides `close_share`.
            close_share: share of the run, at its end, without mixing, in [0, 1].
            max_iter: iterations of the run, for `close_share`.
            min_visible: least share of its area that a box keeps, or it is left out.
            pad_value: grey level where no image is.
            with_masks: keep the segmentations, as bitmasks.

        Raises:
            ValueError: a value outside its range.
        """
        if mosaic_images not in (4, 9):
            raise ValueError(f"INPUT.MIX.MOSAIC_IMAGES must be 4 or 9, got {mosaic_images}")
        if mosaic_size and mosaic_size < 32:
            raise ValueError(
                "INPUT.MIX.MOSAIC_SIZE must be 0 (the size of the images) or at least 32, got "
                f"{mosaic_size}"
            )
        for prob in (mosaic_prob, mixup_prob, copy_paste_prob):
            if not 0 <= prob <= 1:
                raise ValueError(f"INPUT.MIX.*_PROB must be in [0, 1], got {prob}")
        self.mosaic_prob = mosaic_prob
        self.mosaic_images = mosaic_images
        self.mosaic_size = mosaic_size
        self.mixup_prob = mixup_prob
        self.copy_paste_prob = copy_paste_prob
        self.close_at_iteration = _closing(close_at_iteration, close_share, max_iter)
        self.min_visible = min_visible
        self.pad_value = pad_value
        self.with_masks = with_masks or copy_paste_prob > 0
        self.records: Sequence[dict] = ()

    def set_records(self, records: Sequence[dict]) -> None:
        """Where the partners come from; says when copy-paste will find nothing in them."""
        self.records = records
        if self.copy_paste_prob and not any(map(_has_mask, records)):
            log_first_n(
                logging.WARNING,
                "copy-paste (INPUT.MIX.COPY_PASTE_PROB, copy_paste_prob of ImageMixing) will do "
                "nothing: it needs the masks of the objects, and no annotation has one",
                name=__name__,
                key="message",
            )

    def __call__(
        self,
        record: dict,
        read: Callable[[], np.ndarray],
        read_partner: Callable[[dict], np.ndarray],
        sizes: InputSize,
    ) -> tuple[dict, np.ndarray] | None:
        """
        Args:
            record: of the image, with annotations; may hold its "iteration".
            read: gives its image (H, W, 3) uint8, reduced by a whole factor or not.
            read_partner: the same for any record, or raises ImageError.
            sizes: of the network input, and of objects in it.

        Returns:
            A record with the annotations of what the image shows now, and the image, as large as
            the network gets it; None where this one is not mixed.
        """
        if record.get("iteration", -1) >= self.close_at_iteration:
            return None
        probs = self.mosaic_prob, self.mixup_prob, self.copy_paste_prob
        mosaic, mixup, paste = np.random.rand(3) < probs
        if not (mosaic or mixup or paste):
            return None

        def partner() -> Sample | None:
            return self._partner(read_partner, sizes)

        sample = self._sample(record, read(), sizes)
        if mosaic:
            others = [partner() for _ in range(self.mosaic_images - 1)]
            side = self.mosaic_size
            canvas = (side, side) if side else sizes.canvas((record["height"], record["width"]))
            sample = self.mosaic([sample, *(x for x in others if x is not None)], canvas)
        else:
            sample = self._window(sample, sample.scale, None)
        if mixup and (other := partner()):
            sample = self.mixup(sample, other)
        if paste and (other := partner()):
            other = self._window(other, self._scale(other, sample.size), sample.size)
            sample = paste_instances(sample, other, self.min_visible)
        height, width = sample.size
        changes = {"height": height, "width": width, "annotations": sample.annotations}
        return {**record, **changes}, sample.image

    def _partner(self, read: Callable[[dict], np.ndarray], sizes: InputSize) -> Sample | None:
        """A random image; None where none could be read."""
        for _ in range(TRIES if len(self.records) else 0):
            record = self.records[np.random.randint(len(self.records))]
            try:
                return self._sample(record, read(record), sizes)
            except ImageError:
                continue  # it has been counted
        return None

    def _sample(self, record: dict, image: np.ndarray, sizes: InputSize) -> Sample:
        sample = Sample.of_record(record, image, self.with_masks)
        full = record["height"], record["width"]
        return sample._replace(scale=sizes.scale(full) * sample.reduction)

    def mosaic(self, samples: list[Sample], canvas: Size) -> Sample:
        """Random windows of the samples side by side, in 2 x 2 or 3 x 3 cells of random size.

        Args:
            samples: at least one; where there are fewer than cells, they come again.
            canvas: height and width of the mosaic, px.

        Source: arXiv 2004.10934, section 3.3.
        """
        per_side = math.isqrt(self.mosaic_images)
        rows, columns = (_random_borders(side, per_side) for side in canvas)
        image = np.full((*canvas, 3), self.pad_value, np.uint8)
        annotations = []
        for i in range(self.mosaic_images):
            row, column = divmod(i, per_side)
            top, bottom = rows[row : row + 2]
            left, right = columns[column : column + 2]
            sample, cell = samples[i % len(samples)], (bottom - top, right - left)
            window = self._window(sample, self._scale(sample, cell), cell)
            height, width = window.size
            image[top : top + height, left : left + width] = window.image
            annotations += window.annotations_within(canvas, top, left)
        return Sample(image, annotations)

    def mixup(self, sample: Sample, partner: Sample) -> Sample:
        """The mean of two images, with the boxes of both.

        The partner is put somewhere in the area of `sample`, or a window of it where it is larger.

        Source: arXiv 1710.09412; the equal weights as in YOLOX, arXiv 2107.08430.
        """
        height, width = sample.size
        window = self._window(partner, self._scale(partner, sample.size), sample.size)
        top = np.random.randint(height - window.size[0] + 1)
        left = np.random.randint(width - window.size[1] + 1)
        other = np.full_like(sample.image, self.pad_value)
        other[top:, left:][: window.size[0], : window.size[1]] = window.image
        mean = (sample.image.astype(np.uint16) + other + 1) // 2
        added = window.annotations_within((height, width), top, left)
        return Sample(mean.astype(np.uint8), sample.annotations + added)

    def _scale(self, sample: Sample, window: Size) -> float:
        """A random factor of the image that a window of a size is taken of."""
        sides = [side / (x * sample.scale) for side, x in zip(window, sample.size, strict=True)]
        return sample.scale * likely_scale(SCALES, sides)

    def _window(self, sample: Sample, scale: float, window: Size | None) -> Sample:
        """A random window of the scaled image, at most as large as it is; None: all of it."""
        old_height, old_width = sample.size
        height, width = (max(round(x * scale), 1) for x in (old_height, old_width))
        transforms = []
        if window is not None:
            height, width = min(window[0], height), min(window[1], width)
            # Cut before it is resized: the less there is to resize.
            own_height = min(max(round(height / scale), 1), old_height)
            own_width = min(max(round(width / scale), 1), old_width)
            boxes = np.array([a["bbox"] for a in sample.annotations]).reshape(-1, 4)
            top, left = _best_window(boxes, sample.size, (own_height, own_width))
            cut = T.CropTransform(left, top, own_width, own_height, old_width, old_height)
            transforms, old_height, old_width = [cut], own_height, own_width
        transforms.append(FastResizeTransform(old_height, old_width, height, width))
        return sample.transformed(T.TransformList(transforms), self.min_visible)


def _has_mask(record: dict) -> bool:
    """Whether any object of a record can be pasted."""
    return any(
        x.get("segmentation") and not x.get("iscrowd") for x in record.get("annotations", ())
    )


def _best_window(boxes: np.ndarray, size: Size, window: Size) -> tuple[int, int]:
    """Top and left of a window in an image of `size`: of a few random ones the best.

    Each holds a random one of the boxes (M, 4), xyxy, where it fits; the best cuts few of the
    boxes and holds many.
    """
    best, best_cost = (0, 0), math.inf
    for _ in range(WINDOWS):
        held = boxes[np.random.randint(len(boxes))] if len(boxes) else None
        top = random_start(size[0], window[0], None if held is None else held[1::2])
        left = random_start(size[1], window[1], None if held is None else held[0::2])
        if not len(boxes):
            return top, left
        end = np.array([left, top]) + window[::-1]
        seen = ((boxes[:, 2:] > (left, top)) & (boxes[:, :2] < end)).all(axis=1)
        whole = ((boxes[:, :2] >= (left, top)) & (boxes[:, 2:] <= end)).all(axis=1)
        cost = seen.sum() - 1.5 * whole.sum()
        if cost < best_cost:
            best, best_cost = (top, left), cost
    return best


def _random_borders(side: int, parts: int) -> list[int]:
    """Where the parts of a side begin and end: each border at most a quarter of a part away."""
    jitter = np.random.uniform(-0.25, 0.25, parts - 1)
    inner = (np.arange(1, parts) + jitter) * side / parts
    return [0, *inner.round().astype(int).tolist(), side]


def _closing(close_at_iteration: float, close_share: float, max_iter: int | None) -> float:
    """The first iteration whose images stay as they are."""
    if not 0 <= close_share <= 1:
        raise ValueError(f"INPUT.MIX.CLOSE_SHARE must be in [0, 1], got {close_share}")
    if close_at_iteration == math.inf and close_share:
        if max_iter is None:
            raise ValueError("close_share of ImageMixing needs max_iter, such as ${train.max_iter}")
        close_at_iteration = max_iter - round(close_share * max_iter)
    if max_iter is not None and close_at_iteration <= 0:
        logger.warning(
            "no image of the %d iterations will be mixed, because mixing ends at iteration %d; "
            "INPUT.MIX.CLOSE_SHARE (close_share of ImageMixing) instead of CLOSE_ITERS is a share "
            "of the run",
            max_iter,
            close_at_iteration,
        )
    elif max_iter is not None and max_iter <= close_at_iteration < math.inf:
        logger.warning(
            "mixing, which is to end at iteration %d, does not end within the %d of the run; "
            "close_share of ImageMixing instead of close_at_iteration is a share of it",
            close_at_iteration,
            max_iter,
        )
    return close_at_iteration
