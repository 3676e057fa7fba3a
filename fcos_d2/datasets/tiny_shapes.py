"""A drawn set for which whole images are too coarse: shapes of 12 to 20 px, trained on in pictures
of 200 px and looked for in pictures of 1600 px. docs/data.md measures slices on it.

    python -m fcos_d2.datasets.tiny_shapes datasets/tiny_shapes
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np

from fcos_deploy.writing import write_text

from .shapes_drawing import CLASS_NAMES, draw_picture

DIAMETERS = (12, 20)  # px
# Pictures, tiles along a side of each, side of a tile in px, fewest and most shapes of a tile.
SPLITS = {"train": (400, 1, 200, (6, 14)), "val": (12, 4, 400, (3, 7))}


def draw_split(folder: Path, split: str, seed: int) -> dict:
    """Draws the pictures of a split into `folder`; returns their annotations as COCO dicts."""
    num_images, tiles, side, counts = SPLITS[split]
    folder.mkdir(parents=True, exist_ok=True)
    images: list[dict] = []
    annotations: list[dict] = []
    for i in range(1, num_images + 1):
        rng = np.random.default_rng([seed, i])
        picture = np.zeros((tiles * side, tiles * side, 3), np.uint8)
        for top, left in np.ndindex(tiles, tiles):
            tile, shapes = draw_picture(rng, (side, side), diameters=DIAMETERS, num_shapes=counts)
            y, x = top * side, left * side
            picture[y : y + side, x : x + side] = tile
            for shape in shapes:
                x0, y0, x1, y1 = shape.box
                box = [x0 + x, y0 + y, x1 - x0, y1 - y0]
                ids = {"id": len(annotations) + 1, "image_id": i, "iscrowd": 0}
                area = {"category_id": shape.class_id + 1, "area": box[2] * box[3]}
                annotations.append({**ids, **area, "bbox": box})
        cv2.imwrite(str(folder / f"{i:04d}.png"), picture)
        size = {"height": tiles * side, "width": tiles * side}
        images.append({"id": i, "file_name": f"{i:04d}.png", **size})
    names = enumerate(CLASS_NAMES, start=1)
    categories = [{"id": i, "name": name} for i, name in names]
    return {"images": images, "annotations": annotations, "categories": categories}


def make_tiny_shapes(folder: Path) -> None:
    """Draws `train` and `val` into a folder, with their COCO files beside them."""
    for seed, split in enumerate(SPLITS, start=1):
        coco = draw_split(folder / split, split, seed)
        write_text(folder / f"{split}.json", json.dumps(coco))
        print(f"{split}: {len(coco['images'])} images, {len(coco['annotations'])} shapes")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    make_tiny_shapes(Path(sys.argv[1]))
