"""Matches of detectors on images that are drawn from a known distribution."""

import numpy as np

from fcos_d2.evaluation.matches import AREAS, IOU_THRESHOLDS, Matches

OBJECTS = 4.0  # of a class in an image, on average
CLASSES = ("a", "b")


def simulated(
    images: int, seed: int, thresholds: int = 10, *, detector: int = 0, recall: float = 1.0
) -> Matches:
    """A detector on so many images; hard images have more misses and more false detections.

    Args:
        images: N.
        seed: of the images.
        thresholds: IoU thresholds at which anything is found; 1 is much faster than 10.
        detector: another number is another detector, equally good, on the same images.
        recall: share of what the detector would find that it does.
    """
    rng = np.random.default_rng(seed)
    ease = rng.beta(3, 2, images)
    counts = rng.poisson(OBJECTS, (len(CLASSES), images))
    rng = np.random.default_rng((seed, detector, 1))
    parts = [
        part
        for label, of_class in enumerate(counts)
        for part in _of_class(label, of_class, ease, recall, rng)
    ]
    image, label, score, quality = map(np.concatenate, zip(*parts, strict=True))
    order = np.argsort(-score, kind="stable")
    image, label, score, quality = image[order], label[order], score[order], quality[order]
    true = np.zeros((len(AREAS), len(IOU_THRESHOLDS), len(order)), dtype=bool)
    true[0, :thresholds] = quality >= IOU_THRESHOLDS[:thresholds, None]
    objects = np.zeros((len(AREAS), *counts.shape), dtype=np.int64)
    objects[0] = counts
    return Matches(
        class_names=CLASSES,
        image=image,
        label=label,
        score=score,
        row=order,
        true=true,
        ignored=np.zeros_like(true),
        object_of=np.full(true.shape[1:], -1),
        object_counts=objects,
    )


def _of_class(
    label: int, objects: np.ndarray, ease: np.ndarray, recall: float, rng: np.random.Generator
) -> list[tuple[np.ndarray, ...]]:
    """Image, label, score and IoU of what is found, and of what is found where nothing is."""
    image = np.repeat(np.arange(len(objects)), objects)
    image = image[rng.random(len(image)) < recall * (0.4 + 0.6 * ease[image])]
    score = rng.beta(5, 2, len(image))
    iou = np.clip(rng.normal(0.55 + 0.35 * score, 0.12), 0.5, 0.999)
    wrong = np.repeat(np.arange(len(objects)), rng.poisson(3 * (1 - ease) + 0.3))
    return [
        (image, np.full(len(image), label), score, iou),
        (wrong, np.full(len(wrong), label), rng.beta(1.5, 4, len(wrong)), np.zeros(len(wrong))),
    ]
