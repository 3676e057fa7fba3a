"""Six drawn data sets, as unlike each other as those that people bring, to measure defaults on.

Each is a folder as Roboflow exports COCO: train, valid and test, with `_annotations.coco.json`
beside the images. The same version gives the same pictures.
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.made_scene import PLACING_TRIES, Scene, Sprite, Thing, background, photograph, scrap
from benchmarks.made_sprites import OUTLINES, draw_sprite
from fcos_deploy.writing import write_text

SEED = 20260715
SPLITS = ("train", "valid", "test")
ANNOTATIONS = "_annotations.coco.json"


@dataclass(frozen=True, kw_only=True)
class MadeSet:
    """What the pictures of a set show; lengths in px, pairs are the least and the most."""

    classes: tuple[str, ...]
    images: tuple[int, int, int] = (140, 60, 60)  # of SPLITS
    size: tuple[int, int] = (480, 640)  # (h, w)
    objects: tuple[int, int]  # of a picture
    sides: tuple[float, float]  # longer side of an object
    turn: float = math.pi  # the most, rad
    contrast: tuple[float, float] = (0.35, 0.9)
    min_inside: float = 0.8  # part of an object that lies in the picture
    min_visible: float = 0.6  # part of that which nothing hides
    others: tuple[str, ...] = ()  # what resembles the objects, unlabelled
    num_others: tuple[int, int] = (0, 0)
    clutter: int = 25  # scraps in the background
    litter: int = 5  # scraps on top
    litter_side: float = 60.0
    blur: float = 1.2


SETS = {
    "print": MadeSet(
        classes=("KA 317", "KA 842", "XR 317", "XR 842", "HE 317", "HE 842"),
        images=(200, 60, 60),
        objects=(1, 6),
        sides=(90, 260),
        turn=0.3,
        contrast=(0.5, 1.0),
        min_inside=0.97,
        min_visible=0.9,
        litter=3,
    ),
    "dense": MadeSet(
        classes=("grain", "bolt", "nut"),
        size=(640, 640),
        objects=(30, 150),
        sides=(9, 24),
        contrast=(0.5, 1.0),
        clutter=15,
        blur=0.8,
    ),
    "large": MadeSet(
        classes=("bottle", "mug", "fish", "leaf"),
        size=(480, 560),
        objects=(1, 2),
        sides=(360, 620),
        min_inside=0.7,
        min_visible=0.5,
        litter_side=180,
        blur=2.0,
    ),
    "wide": MadeSet(
        classes=("van", "fish", "leaf"),
        size=(400, 1600),
        objects=(3, 12),
        sides=(45, 150),
        turn=0.8,
        contrast=(0.5, 1.0),
        clutter=60,
        litter=15,
    ),
    "one-class": MadeSet(
        classes=("star",),
        objects=(0, 2),
        sides=(35, 160),
        others=("star of 4", "star of 6", "pentagon", "round star"),
        num_others=(2, 6),
    ),
    "many": MadeSet(
        classes=tuple(OUTLINES),
        images=(200, 60, 60),
        objects=(1, 6),
        sides=(60, 240),
        contrast=(0.5, 1.0),
    ),
}


def draw(made: MadeSet, rng: np.random.Generator) -> tuple[np.ndarray, list[Thing]]:
    """A picture, uint8 BGR (H, W, 3), and its objects."""
    ground = background(rng, made.size, made.clutter)
    scene = Scene(ground, min_visible=made.min_visible)
    names = _some(rng, made.classes, made.objects) + _some(rng, made.others, made.num_others)
    for name in rng.permutation(names):
        sprite = draw_sprite(rng, str(name), _between(rng, made.sides))
        class_id = made.classes.index(name) if name in made.classes else None
        _put(rng, scene, sprite, class_id, made)
    for _ in range(int(rng.integers(made.litter + 1))):
        _put(rng, scene, scrap(rng, made.litter_side * rng.uniform(0.3, 1)), None, made)
    return photograph(rng, scene.picture, made.blur), scene.things


def _some(rng: np.random.Generator, names: tuple[str, ...], counts: tuple[int, int]) -> list[str]:
    number = int(rng.integers(counts[0], counts[1] + 1))
    return rng.choice(names, number).tolist() if number else []


def _between(rng: np.random.Generator, sides: tuple[float, float]) -> float:
    return math.exp(rng.uniform(*np.log(sides)))


def _put(
    rng: np.random.Generator, scene: Scene, sprite: Sprite, class_id: int | None, made: MadeSet
) -> None:
    """Lays it wherever there is room; not at all if there is none."""
    turn, slant = rng.uniform(-made.turn, made.turn), rng.normal(0, 0.12)
    contrast = rng.uniform(*made.contrast)
    for _ in range(PLACING_TRIES):
        x, y = rng.uniform(0, 1, 2) * made.size[::-1]
        if scene.add(
            sprite,
            (x, y),
            turn=turn,
            slant=slant,
            class_id=class_id,
            min_inside=made.min_inside,
            contrast=contrast,
        ):
            return


def make_set(name: str, folder: Path, test_images: int | None = None) -> dict[str, tuple[int, int]]:
    """Draws a set into a folder.

    Args:
        name: of SETS.
        folder: a new one.
        test_images: in the test split, of which the first are always the same; None: as SETS says.

    Returns:
        the numbers of images and of objects of each split.

    Raises:
        ValueError: the folder holds something else.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is there already, and not empty: name another folder")
    train, val, test = SETS[name].images
    counts = {}
    for split, images in enumerate((train, val, test_images or test)):
        coco = _draw_split(name, split, images, folder / SPLITS[split])
        write_text(folder / SPLITS[split] / ANNOTATIONS, json.dumps(coco))
        counts[SPLITS[split]] = images, len(coco["annotations"])
    return counts


def _draw_split(name: str, split: int, num_images: int, folder: Path) -> dict:
    """Writes the pictures of a split; returns its annotations as a COCO dictionary."""
    folder.mkdir(parents=True)
    made, images, annotations = SETS[name], [], []
    for index in range(num_images):
        # A generator of its own makes a picture independent of those before it.
        rng = np.random.default_rng([SEED, list(SETS).index(name), split, index])
        picture, things = draw(made, rng)
        image = {"id": index + 1, "file_name": f"{index:04d}.jpg"}
        height, width = picture.shape[:2]
        images.append(image | {"height": height, "width": width})
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))]
        encoded = cv2.imencode(".jpg", picture, quality)[1]
        (folder / f"{index:04d}.jpg").write_bytes(encoded.tobytes())
        for class_id, (x0, y0, x1, y1) in things:
            box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
            ids = {"id": len(annotations) + 1, "image_id": index + 1, "category_id": class_id + 1}
            annotations.append({**ids, **box, "iscrowd": 0})
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(made.classes)]
    return {"images": images, "annotations": annotations, "categories": categories}


def run_made_sets(arguments: argparse.Namespace) -> None:
    """`python -m benchmarks made-sets`."""
    for name in arguments.only or SETS:
        counts = make_set(name, arguments.output / name, arguments.test_images)
        found = ", ".join(
            f"{split} {images} images, {objects} objects"
            for split, (images, objects) in counts.items()
        )
        print(f"{arguments.output / name}: {found}", flush=True)
