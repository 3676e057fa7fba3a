"""Whether the mirror image of an object could be an object, too: looked up in the pictures.

An object of a class that has no left and right resembles mirrored objects of other pictures as
well as it resembles these themselves. Writing, arrows, and whatever always faces one side do not.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fcos_deploy.vision import ImageError, read_image

from . import rules

SIDE = 24  # px of an object when two are compared
BLUR = 4.0  # px, standard deviation; light and shade wider than this do not count
MOST_OF_A_CLASS, LEAST_OF_A_CLASS = 400, 20  # objects
MOST_IMAGES, MOST_MEGAPIXELS = 300, 200.0  # decoded: about two seconds
SMALLEST = 6  # px of a box, which shows nothing below
TOP_TO_BOTTOM, LEFT_TO_RIGHT = 1, 2  # axes of patches (N, h, w)


def one_sided_classes(
    coco: Mapping[str, Any], image_root: str | Path, axis: int = LEFT_TO_RIGHT, seed: int = 0
) -> list[str]:
    """Classes whose objects, mirrored, look like nothing that the pictures show.

    Args:
        coco: COCO dict with the sizes of the images.
        image_root: folder of the images; those that cannot be read are left out.
        axis: along which they are mirrored, LEFT_TO_RIGHT or TOP_TO_BOTTOM.
        seed: of the choice of images, where there are many.

    Returns:
        Their names; [] where too few objects tell.
    """
    objects = _objects(coco, Path(image_root), seed)
    classes = [x for x in coco["categories"] if x["id"] in objects]
    nearer = {x["name"]: _nearer(*objects[x["id"]], axis) for x in classes}
    if _mostly(np.concatenate([*nearer.values(), np.empty(0)]), rules.FACING_ALL):
        return [name for name, found in nearer.items() if found.mean() > 0.5]
    return [name for name, found in nearer.items() if _mostly(found, rules.FACING_CLASS)]


def _mostly(nearer: np.ndarray, share: float) -> bool:
    """Whether at least a share of them is 1, beyond chance."""
    if len(nearer) < LEAST_OF_A_CLASS:
        return False
    mean = float(nearer.mean())
    return mean >= share and (mean - 0.5) * 2 * math.sqrt(len(nearer)) >= rules.FACING_SURE


def _nearer(patches: np.ndarray, images: np.ndarray, axis: int) -> np.ndarray:
    """For each object, whether it resembles another one more than any that is mirrored.

    Args:
        patches: (N, SIDE, SIDE) of length 1.
        images: (N,) where they come from; objects of one image are not compared.
        axis: of `patches`, which is mirrored.

    Returns:
        (M,) of 0, 0.5 and 1, of those that there is something to compare with.
    """
    flat, mirrored = patches.reshape(len(patches), -1), np.flip(patches, axis)
    same = images[:, None] == images
    alike, alike_mirrored = (
        np.where(same, -np.inf, flat @ x.reshape(len(x), -1).T).max(axis=1)
        for x in (patches, mirrored)
    )
    known = np.isfinite(alike)
    return 0.5 + 0.5 * np.sign(alike[known] - alike_mirrored[known])


def _objects(
    coco: Mapping[str, Any], root: Path, seed: int
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """By class id: patches (N, SIDE, SIDE), and the numbers of their images (N,)."""
    of_image: dict[int, list[dict]] = defaultdict(list)
    for annotation in coco["annotations"]:
        if not annotation.get("iscrowd"):
            of_image[annotation["image_id"]].append(annotation)
    found: dict[int, list[tuple[np.ndarray, int]]] = defaultdict(list)
    with_objects = [x for x in coco["images"] if x["id"] in of_image]
    for i, image in enumerate(some_images(with_objects, seed)):
        try:
            grey = cv2.cvtColor(read_image(root / image["file_name"]), cv2.COLOR_BGR2GRAY)
        except ImageError:  # which the check of the data reports
            continue
        for annotation in of_image[image["id"]]:
            of_class = found[annotation["category_id"]]
            if len(of_class) < MOST_OF_A_CLASS:
                patch = _patch(grey, annotation["bbox"])
                of_class += [] if patch is None else [(patch, i)]
    return {
        key: (np.stack([x for x, _ in of_class]), np.array([i for _, i in of_class]))
        for key, of_class in found.items()
        if len(of_class) >= LEAST_OF_A_CLASS
    }


def some_images(images: Sequence[dict], seed: int, most: int = MOST_IMAGES) -> list[dict]:
    """Images of COCO to look at, in random order."""
    order = np.random.default_rng(seed).permutation(len(images))[:most]
    megapixels = np.cumsum([images[i]["height"] * images[i]["width"] / 1e6 for i in order])
    return [images[i] for i in order[: 1 + int((megapixels <= MOST_MEGAPIXELS).sum())]]


def _patch(grey: np.ndarray, bbox: Sequence[float]) -> np.ndarray | None:
    """An object at a common size, without broad shades, of mean 0 and length 1; None: too small."""
    x1, y1 = (max(math.floor(v), 0) for v in bbox[:2])
    x2, y2 = (math.ceil(bbox[i] + bbox[i + 2]) for i in (0, 1))
    cut = grey[y1:y2, x1:x2]
    if min(cut.shape) < SMALLEST:
        return None
    patch = cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    patch -= cv2.GaussianBlur(patch, (0, 0), BLUR)
    patch -= patch.mean()
    length = float(np.linalg.norm(patch))
    return patch / length if length > SIDE else None  # a grey level on average
