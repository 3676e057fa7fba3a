"""The same drawn picture after each augmentation, with its boxes: docs/augmentations.jpg.

Every tile is what the training mapper returns with the settings of TILES.
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
from detectron2.structures import BoxMode

from ..config import get_cfg
from ..data.mapper import FCOSDatasetMapper
from ..datasets.shapes_drawing import CLASS_NAMES, draw_picture
from . import contact_sheet, draw_detections

SIDE = 320  # px, of a tile
PICTURE = (200, 280)  # height and width of the drawn pictures, px
NUM_PICTURES = 12
# Title, number of the seed, and settings under INPUT.
TILES: tuple[tuple[str, int, dict[str, object]], ...] = (
    ("as drawn", 0, {}),
    ("letterbox", 0, {"RESIZE_RULE_TRAIN": "letterbox"}),
    ("large-scale jitter", 3, {"RESIZE_RULE_TRAIN": "large_scale_jitter"}),
    ("crop with boxes", 1, {"CROP_WITH_BOXES.PROB": 1.0}),
    (
        "affine",
        2,
        {"AFFINE.PROB": 1.0, "AFFINE.DEGREES": 20.0, "AFFINE.SHEAR": 10.0},
    ),
    ("perspective", 4, {"AFFINE.PROB": 1.0, "AFFINE.PERSPECTIVE": 0.7, "AFFINE.SCALE": (0.8, 1.0)}),
    ("brightness, contrast", 3, {"COLOR_JITTER.BRIGHTNESS": 0.5, "COLOR_JITTER.CONTRAST": 0.5}),
    ("saturation, hue", 0, {"COLOR_JITTER.SATURATION": 0.7, "COLOR_JITTER.HUE": 0.4}),
    ("Mosaic, 4 images", 0, {"MIX.MOSAIC_PROB": 1.0, "MIX.MOSAIC_SIZE": SIDE}),
    (
        "Mosaic, 9 images",
        0,
        {"MIX.MOSAIC_PROB": 1.0, "MIX.MOSAIC_IMAGES": 9, "MIX.MOSAIC_SIZE": SIDE},
    ),
    ("MixUp", 1, {"MIX.MIXUP_PROB": 1.0}),
    ("copy-paste", 2, {"MIX.COPY_PASTE_PROB": 1.0}),
)


def draw_records(folder: Path) -> list[dict]:
    """Writes the pictures; returns records of detectron2's format.

    The drawn shapes have no masks, so copy-paste gets the ellipse inside each box.
    """
    records = []
    for i in range(NUM_PICTURES):
        picture, shapes = draw_picture(np.random.default_rng([7, i]), PICTURE)
        path = folder / f"{i}.png"
        cv2.imwrite(str(path), picture)
        annotations = [
            {
                "bbox": list(shape.box),
                "bbox_mode": BoxMode.XYXY_ABS,
                "category_id": shape.class_id,
                "iscrowd": 0,
                "segmentation": [_ellipse(shape.box)],
            }
            for shape in shapes
        ]
        size = {"height": PICTURE[0], "width": PICTURE[1]}
        records.append({"file_name": str(path), **size, "annotations": annotations})
    return records


def _ellipse(box: tuple[int, int, int, int]) -> list[float]:
    centre, radii = np.reshape(box, (2, 2)).mean(axis=0), np.subtract(box[2:], box[:2]) / 2
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    points = centre + radii * np.stack((np.cos(angles), np.sin(angles)), axis=1)
    return points.ravel().tolist()


def draw_tile(records: list[dict], seed: int, settings: dict) -> np.ndarray:
    """The first record after the augmentations of `settings`, with its boxes."""
    cfg = get_cfg()
    cfg.INPUT.RANDOM_FLIP = "none"
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN = (SIDE,), SIDE
    cfg.INPUT.SQUARE_SIZE, cfg.INPUT.MIN_VISIBLE = SIDE, 0.2
    for key, value in settings.items():
        cfg.merge_from_list([f"INPUT.{key}", value])
    mapper = FCOSDatasetMapper(cfg, is_train=True)
    mapper.set_records(records[1:])
    np.random.seed(seed)
    mapped = mapper(records[0])
    image = np.ascontiguousarray(mapped["image"].permute(1, 2, 0).numpy())
    instances = mapped["instances"]
    boxes, classes = instances.gt_boxes.tensor.numpy(), instances.gt_classes.numpy()
    return draw_detections(image, boxes, classes, None, CLASS_NAMES)


def augmentation_sheet() -> np.ndarray:
    """All tiles with their titles, BGR."""
    with tempfile.TemporaryDirectory() as folder:
        records = draw_records(Path(folder))
        tiles = [draw_tile(records, seed, settings) for _, seed, settings in TILES]
    return contact_sheet(tiles, 4, [title for title, *_ in TILES], (SIDE, SIDE))
