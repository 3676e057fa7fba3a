"""Images in, labels out: what a detector finds in a folder, as COCO dicts."""

from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fcos_deploy.pipeline import buffered
from fcos_deploy.vision import ImageError, read_image

from ..detections import ImageDetections

AHEAD = 4  # images that are decoded before they are wanted
DECIMALS = 2  # of a box, px


class Looked(NamedTuple):
    """An image that could be read, with all that was found in it."""

    name: str
    height: int
    width: int
    found: ImageDetections


def read_images(
    folder: Path, names: Iterable[str]
) -> Generator[tuple[str, np.ndarray | ImageError], None, None]:
    """The images by name, decoded ahead in a thread; for one that cannot be read, why."""

    def read(name: str) -> tuple[str, np.ndarray | ImageError]:
        try:
            return name, read_image(folder / name)
        except ImageError as error:
            return name, error

    return buffered(map(read, names), AHEAD)


def as_coco(
    looked: Sequence[Looked],
    class_names: Sequence[str],
    is_kept: Callable[[ImageDetections], np.ndarray],
) -> dict[str, list[dict]]:
    """Images, annotations with scores, and categories, with ids from 1.

    Args:
        looked: the images.
        class_names: of the detector.
        is_kept: says for all detections of an image which are labels, bool (D,).
    """
    images: list[dict] = []
    annotations: list[dict] = []
    for image_id, image in enumerate(looked, start=1):
        size = {"height": image.height, "width": image.width}
        images.append({"id": image_id, "file_name": image.name, **size})
        found = image.found
        for i in np.flatnonzero(is_kept(found)):
            x1, y1, x2, y2 = np.round(found.boxes[i].astype(float), DECIMALS).tolist()
            box = [x1, y1, round(x2 - x1, DECIMALS), round(y2 - y1, DECIMALS)]
            if min(box[2:]) <= 0:
                continue
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(found.classes[i]) + 1,
                    "bbox": box,
                    "area": round(box[2] * box[3], 2 * DECIMALS),
                    "iscrowd": 0,
                    "score": round(float(found.scores[i]), 4),
                }
            )
    categories = [{"id": i, "name": name} for i, name in enumerate(class_names, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}
