"""Samples: an image with its annotations."""

import numpy as np
from pycocotools import mask as coco_mask

from fcos_d2.sample import decoded, encoded, visible_share


def test_visible_share_on_paper():
    """Half outside; all outside; without area; inside."""
    boxes = np.array([[-4, 0, 4, 8], [9, 9, 12, 12], [1, 1, 1, 5], [2, 2, 4, 4]], dtype=float)
    assert visible_share(boxes, (8, 8)).tolist() == [0.5, 0, 0, 1]


def test_segmentations_of_all_kinds_become_the_same_mask():
    polygon = [[10, 5, 30, 5, 30, 25, 10, 25]]
    mask = np.zeros((40, 50), np.uint8)
    mask[5:25, 10:30] = 1
    # Column by column: 10 columns of 40, 5 rows; then 20 of 1 and 20 of 0 in turn, 20 times.
    counts = [405, *[20] * 39]
    counts.append(40 * 50 - sum(counts))
    uncompressed = {"size": [40, 50], "counts": counts}
    compressed = coco_mask.encode(np.asfortranarray(mask))
    for segmentation in (polygon, uncompressed, compressed):
        assert (decoded(encoded(segmentation, (40, 50))) == mask).all()
