"""Which images may share a batch.

A batch is as large as its largest image, and padding changes what is found: norms over the whole
map count it, and convolutions carry it over the border. So only images with the same canvas give
the same detections together as alone.
"""

from collections.abc import Sequence


def canvas_size(size: Sequence[int], step: int) -> tuple[int, int]:
    """Sides of the smallest canvas for an image (h, w): multiples of `step`, px; under 1: of 1."""
    step = max(step, 1)
    height, width = (-(-int(side) // step) * step for side in size)
    return height, width


def groups_of_one_canvas(sizes: Sequence[Sequence[int]], step: int) -> list[list[int]]:
    """Positions of the images whose smallest canvas is the same, in the order of the first of each.

    Args:
        sizes: (h, w) of each image, px.
        step: see `canvas_size`.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for position, size in enumerate(sizes):
        groups.setdefault(canvas_size(size, step), []).append(position)
    return list(groups.values())
