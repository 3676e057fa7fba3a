"""Objects of one image put into another, where their masks are known."""

import numpy as np
from detectron2.data import transforms as T

from ..sample import Sample, box_of_mask, decoded, encode

LEAST_PIXELS = 4  # of an object, below which it is not pasted


def paste_instances(sample: Sample, partner: Sample, min_visible: float) -> Sample:
    """Random objects of `partner` at a random place over `sample`.

    Boxes and masks of what they cover get smaller. Crowd regions are not pasted, and stay.

    Args:
        sample, partner: their segmentations as `Sample.of_record` gives them; objects without one
            are not pasted. `partner` is at most as large as `sample`.
        min_visible: least share of its mask (or box, where it has none) that a covered object
            keeps, or it is left out.

    Returns:
        The new sample; `sample` itself where there is nothing to paste.

    Source: arXiv 2012.07177, without the blending of edges.
    """
    chosen = [
        a
        for a in partner.annotations
        if "segmentation" in a and not a.get("iscrowd") and np.random.rand() < 0.5
    ]
    if not chosen:
        return sample
    (height, width), (own_height, own_width) = sample.size, partner.size
    top = np.random.randint(height - own_height + 1)
    left = np.random.randint(width - own_width + 1)
    right, bottom = width - left - own_width, height - top - own_height
    move = T.PadTransform(left, top, right, bottom, own_width, own_height)
    masks = [move.apply_segmentation(decoded(a["segmentation"])) > 0 for a in chosen]
    pasted = [(a, m) for a, m in zip(chosen, masks, strict=True) if m.sum() >= LEAST_PIXELS]
    if not pasted:
        return sample
    covered = np.any([mask for _, mask in pasted], axis=0)
    image = np.where(covered[..., None], move.apply_image(partner.image), sample.image)
    kept = [_what_is_left(a, covered, min_visible) for a in sample.annotations]
    added = [{**a, "bbox": box_of_mask(mask), "segmentation": encode(mask)} for a, mask in pasted]
    return Sample(image, [a for a in kept if a is not None] + added)


def _what_is_left(annotation: dict, covered: np.ndarray, min_visible: float) -> dict | None:
    """The annotation of an object that is `covered` (H, W) in part; None for too little of it."""
    if annotation.get("iscrowd"):
        return annotation
    if "segmentation" not in annotation:
        x1, y1, x2, y2 = annotation["bbox"].round().astype(int)
        inside = covered[y1:y2, x1:x2]
        hidden = inside.mean() if inside.size else 0.0
        return annotation if 1 - hidden >= min_visible else None
    mask = decoded(annotation["segmentation"]) > 0
    left = mask & ~covered
    if not left.any() or left.sum() < min_visible * mask.sum():
        return None
    if left.sum() == mask.sum():
        return annotation
    return {**annotation, "bbox": box_of_mask(left), "segmentation": encode(left)}
