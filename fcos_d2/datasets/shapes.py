"""The Shapes dataset: drawn on first use, so that a first training needs no download.

On disk it is a COCO dataset: `shapes/{train,val}/*.jpg` and `shapes/annotations/*.json` in
`$DETECTRON2_DATASETS` (by default `datasets`).
"""

import json
import logging
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json
from iopath.common.file_io import file_lock

from fcos_d2.datasets.shapes_drawing import CLASS_NAMES, Shape, draw_picture

# To be raised by one whenever the same seed gives other pictures or annotations.
VERSION = 1
SEED = 20190402
NUM_IMAGES = {"train": 600, "val": 150}
JPEG_QUALITY = 95
MARKER = "shapes.json"  # says which generator made the folder

logger = logging.getLogger(__name__)


def register_shapes(root: str | Path | None = None) -> None:
    """Register `shapes_train` and `shapes_val`, which are drawn when one of them is loaded.

    Calling it again changes nothing, or moves the two to another root.

    Args:
        root: folder of all datasets; None for `$DETECTRON2_DATASETS`.
    """
    root = datasets_root() if root is None else Path(root)
    for split in NUM_IMAGES:
        name = f"shapes_{split}"
        json_file = str(_json_file(root / "shapes", split))
        if name in DatasetCatalog:
            if MetadataCatalog.get(name).get("json_file") == json_file:
                continue
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
        DatasetCatalog.register(name, lambda split=split: _load(root, split))
        MetadataCatalog.get(name).set(
            thing_classes=list(CLASS_NAMES),
            thing_dataset_id_to_contiguous_id={i + 1: i for i in range(len(CLASS_NAMES))},
            evaluator_type="coco",
            json_file=json_file,
            image_root=str(root / "shapes" / split),
        )


def make_shapes(root: str | Path | None = None, num_images: dict[str, int] | None = None) -> Path:
    """Draw the dataset unless it is there already.

    It appears in one step, by renaming a finished folder; processes that start at the same
    time wait for the one that draws.

    Args:
        root: folder of all datasets; None for `$DETECTRON2_DATASETS`.
        num_images: images of each split; None for NUM_IMAGES.

    Returns:
        the folder of the dataset, `root/shapes`.

    Raises:
        ValueError: if `root/shapes` exists and holds something else.
        OSError: if `root` cannot be written to.
    """
    root = datasets_root() if root is None else Path(root)
    recipe = {"version": VERSION, "seed": SEED, "num_images": num_images or NUM_IMAGES}
    folder, partial = root / "shapes", root / "shapes.partial"
    if _read_marker(folder) == recipe:
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        with file_lock(str(folder)):
            if _read_marker(folder) != recipe:
                # We hold the lock, so what lies here was left by a process that was killed.
                shutil.rmtree(partial, ignore_errors=True)
                logger.info(f"Drawing the Shapes dataset into {folder}, takes some seconds")
                _draw(partial, recipe)
                _put_in_place(partial, folder)
    except OSError as error:
        cure = "set DETECTRON2_DATASETS to a folder that can be written to"
        raise OSError(f"cannot make the Shapes dataset in {folder}: {error}; {cure}") from error
    return folder


def datasets_root() -> Path:
    """The folder in which detectron2 looks for its datasets."""
    return Path(os.environ.get("DETECTRON2_DATASETS", "datasets")).expanduser()


def _load(root: Path, split: str) -> list[dict]:
    folder = make_shapes(root)
    return load_coco_json(str(_json_file(folder, split)), str(folder / split), f"shapes_{split}")


def _json_file(folder: Path, split: str) -> Path:
    return folder / "annotations" / f"instances_{split}.json"


def _read_marker(folder: Path) -> dict | None:
    """What the folder says of its making; None if there is no folder."""
    if not folder.exists():
        return None
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        # A folder of ours always has its marker, so this one must not be replaced.
        raise ValueError(
            f"{folder} exists, but was not made by this project (no {MARKER} in it): "
            "move it, or set DETECTRON2_DATASETS to another folder"
        ) from error
    return marker


def _draw(folder: Path, recipe: dict) -> None:
    (folder / "annotations").mkdir(parents=True)
    for split, count in recipe["num_images"].items():
        (folder / split).mkdir()
        content = _draw_split(folder / split, split, count)
        _json_file(folder, split).write_text(json.dumps(content), encoding="utf-8")
    (folder / MARKER).write_text(json.dumps(recipe), encoding="utf-8")


def _put_in_place(partial: Path, folder: Path) -> None:
    outdated = folder.with_suffix(".outdated")
    shutil.rmtree(outdated, ignore_errors=True)
    if folder.exists():
        # Renamed first: a folder that is being deleted would look like one that is not ours.
        folder.rename(outdated)
    partial.rename(folder)
    shutil.rmtree(outdated, ignore_errors=True)


def _draw_split(folder: Path, split: str, count: int) -> dict:
    """Write the pictures of one split and return its annotations as a COCO dictionary."""
    images: list[dict] = []
    annotations: list[dict] = []
    for index in range(count):
        # A generator of its own makes a picture independent of those before it.
        rng = np.random.default_rng([SEED, list(NUM_IMAGES).index(split), index])
        picture, shapes = draw_picture(rng)
        name = f"{index:06d}.jpg"
        encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        # OpenCV's own writer says nothing of a full disk.
        (folder / name).write_bytes(encoded.tobytes())
        height, width = picture.shape[:2]
        image_id = index + 1
        images.append({"id": image_id, "file_name": name, "height": height, "width": width})
        for shape in shapes:
            annotations.append(_annotation(shape, image_id, len(annotations) + 1))
    return {
        "info": {"description": f"Shapes {split}, drawn by fcos_d2", "version": str(VERSION)},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CLASS_NAMES)],
    }


def _annotation(shape: Shape, image_id: int, annotation_id: int) -> dict:
    x0, y0, x1, y1 = shape.box
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": shape.class_id + 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": shape.area,
        "iscrowd": 0,
    }
