"""What single augmentations do right and a chain of them may not."""

import numpy as np
import pytest
from detectron2.structures import BoxMode
from pycocotools import mask as coco_mask

from fcos_d2.config import get_cfg
from fcos_d2.data.augmentation_square import CropOrPadToSquare
from fcos_d2.data.mapper import FCOSDatasetMapper

HEIGHT, WIDTH = 150, 240
OPTIONS = {
    "short_edge": ["INPUT.MIN_SIZE_TRAIN", "(200,)"],
    "letterbox": ["INPUT.RESIZE_RULE_TRAIN", "letterbox", "INPUT.SQUARE_SIZE", 256],
    "jitter": ["INPUT.RESIZE_RULE_TRAIN", "large_scale_jitter", "INPUT.SQUARE_SIZE", 256],
    "affine": ["INPUT.AFFINE.PROB", 1.0, "INPUT.AFFINE.TRANSLATE", 0.4],
    "crop": ["INPUT.CROP_WITH_BOXES.PROB", 1.0],
    "masks": ["MODEL.MASK_ON", True, "INPUT.MASK_FORMAT", "bitmask"],
}


def mapper(*names, **values):
    cfg = get_cfg()
    for name in names:
        cfg.merge_from_list(OPTIONS[name])
    for key, value in values.items():
        cfg.merge_from_list([f"INPUT.{key}", value])
    return FCOSDatasetMapper(cfg, is_train=True)


def annotation(box, category=0):
    return {
        "bbox": list(box),
        "bbox_mode": BoxMode.XYXY_ABS,
        "category_id": category,
        "iscrowd": 0,
    }


def mapped(train, seed, red, *others):
    """A red rectangle of class 0 on black, and boxes of class 1 that are not drawn."""
    x1, y1, x2, y2 = red["bbox"]
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[y1:y2, x1:x2, 2] = 255
    record = {"file_name": "drawn", "height": HEIGHT, "width": WIDTH}
    np.random.seed(seed)
    return train._map({**record, "annotations": [red, *others]}, image)


def box_of(pixels):
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def is_red(result):
    blue, _, red = result["image"].numpy().astype(int)
    return red - blue > 128


@pytest.mark.parametrize("resize", ["short_edge", "letterbox", "jitter"])
@pytest.mark.parametrize("first", ["affine", "crop"])
def test_boxes_end_where_the_image_ends(first, resize):
    """Not where the border around it does."""
    train, seen = mapper(first, resize), 0
    for seed in range(60):
        # Class 1 keeps the crop away from the large rectangle.
        red, small = annotation((150, 10, 230, 140)), annotation((20, 60, 60, 90), 1)
        result = mapped(train, seed, red, small)
        instances = result["instances"]
        boxes = instances.gt_boxes.tensor[instances.gt_classes == 0].numpy()
        if len(boxes) and is_red(result).any():
            np.testing.assert_allclose(boxes[0], box_of(is_red(result)), atol=1.5)
            seen += 1
    assert seen > 15, seen


@pytest.mark.parametrize("kind", ["polygon", "run lengths"])
@pytest.mark.parametrize("options", ["letterbox", "jitter", "affine", "crop"])
def test_masks_follow_the_pixels_and_are_empty_on_the_border(options, kind):
    x1, y1, x2, y2 = box = (30, 40, 110, 90)
    red = annotation(box)
    if kind == "polygon":
        red["segmentation"] = [[x1, y1, x2, y1, x2, y2, x1, y2]]
    else:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
        mask[y1:y2, x1:x2] = 1
        red["segmentation"] = coco_mask.encode(mask)
    train, seen = mapper("short_edge", options, "masks"), 0
    for seed in range(10):
        result = mapped(train, seed, red)
        masks = result["instances"].gt_masks.tensor.numpy()
        if is_red(result).any():
            (mask,) = masks
            np.testing.assert_allclose(box_of(mask), box_of(is_red(result)), atol=1.5)
            seen += 1
        else:
            assert masks.sum() <= 2, "a mask of what is not seen"
    assert seen >= 5, seen


def test_a_crop_holds_a_box_that_a_warp_has_left_in_the_image():
    warped, cropped = mapper("affine", "short_edge"), mapper("affine", "crop", "short_edge")
    boxes = annotation((200, 110, 235, 145)), annotation((100, 60, 130, 90), 1)
    held = 0
    for seed in range(150):
        # Both start with the same warp.
        if len(mapped(warped, seed, *boxes)["instances"]):
            assert len(mapped(cropped, seed, *boxes)["instances"]), seed
            held += 1
    assert held > 75, held


def test_the_border_does_not_hide_that_little_of_a_box_is_left():
    """With any share asked for, what remains is what the crop alone leaves of it."""
    red, small = annotation((150, 10, 230, 140)), annotation((20, 60, 60, 90), 1)
    counts = []
    for resize in ("short_edge", "letterbox"):
        train = mapper("crop", resize, MIN_VISIBLE=0.5, RANDOM_FLIP="none")
        counts.append([len(mapped(train, seed, red, small)["instances"]) for seed in range(60)])
    # short_edge and letterbox draw their size after the crop, so the windows are the same.
    assert counts[0] == counts[1] and len(set(counts[0])) > 1


def test_a_square_on_paper():
    """5 x 20 px to a square of 10: 11 windows of 10 columns, and 5 rows below."""
    image = np.arange(100, dtype=np.uint8).reshape(5, 20)[..., None].repeat(3, axis=2)
    tops = set()
    for _ in range(200):
        transform = CropOrPadToSquare(10, pad_value=7).get_transform(image)
        square = transform.apply_image(image)
        assert square.shape == (10, 10, 3) and (square[5:] == 7).all()
        left = int(square[0, 0, 0])
        tops.add(left)
        # Cut at the left by the square, at the bottom by the image: 6 rows would be border.
        box = transform.apply_box(np.array([[left + 2.0, 1.0, left + 4.0, 11.0]]))
        assert box.tolist() == [[2, 1, 4, 5]]
    assert tops == set(range(11))


def test_the_two_axes_of_a_window_are_independent():
    image = np.zeros((20, 20, 3), np.uint8)
    windows = [CropOrPadToSquare(10).get_transform(image).transforms[0] for _ in range(100)]
    assert any(w.x0 != w.y0 for w in windows)
