"""Boxes follow the pixels through every change of geometry."""

import math

import numpy as np
import pytest
from detectron2.data import transforms as T

from fcos_d2.data.augmentation import ResizeScale
from fcos_d2.data.augmentation_geometry import (
    PerspectiveTransform,
    RandomAffine,
    RandomCropWithBoxes,
)
from fcos_d2.sample import visible_share

SIZE = (120, 200)  # height, width


def picture(box: list[int], size: tuple[int, int] = SIZE) -> np.ndarray:
    """Black, with a white rectangle xyxy."""
    image = np.zeros((*size, 3), np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    return image


def white_box(image: np.ndarray) -> np.ndarray:
    """Around the pixels that are more white than black."""
    white = image.min(axis=2) > 127
    rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


AUGMENTATIONS = {
    "turn": RandomAffine(degrees=40.0, pad_value=0),
    "scale": RandomAffine(scale=(0.6, 1.4), pad_value=0),
    "shift": RandomAffine(translate=0.2, pad_value=0),
    "shear": RandomAffine(shear=25.0, pad_value=0),
    "perspective": RandomAffine(perspective=0.5, pad_value=0),
    "all": RandomAffine(
        degrees=20.0, translate=0.1, scale=(0.8, 1.2), shear=10.0, perspective=0.3, pad_value=0
    ),
    "crop": RandomCropWithBoxes(min_scale=0.2),
    "letterbox": [T.ResizeShortestEdge(160, 160), T.FixedSizeCrop((160, 160), pad_value=0)],
    "large_scale_jitter": [
        ResizeScale(0.5, 2.0, 160, 160),
        T.FixedSizeCrop((160, 160), pad_value=0),
    ],
}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_boxes_follow_the_pixels(name):
    np.random.seed(0)
    seen = sum(rectangle_is_followed(name) for _ in range(6))
    assert seen >= 4, seen


def rectangle_is_followed(name: str) -> bool:
    """False where the augmentation has moved it out of the image."""
    box = [70, 40, 115, 70]
    given = T.AugInput(picture(box), boxes=np.array([box], dtype=float))
    augmentations = AUGMENTATIONS[name]
    augmentations = augmentations if isinstance(augmentations, list) else [augmentations]
    transforms = T.AugmentationList(augmentations)(given)
    height, width = given.image.shape[:2]
    moved = transforms.apply_box(np.array([box], dtype=float))
    if visible_share(moved, (height, width))[0] < 0.2:
        return False
    expected = np.clip(moved[0], 0, [width, height, width, height])
    np.testing.assert_allclose(white_box(given.image), expected, atol=1.5)
    # Masks take the same way.
    mask = transforms.apply_segmentation((picture(box)[..., 0] > 0).astype(np.uint8))
    np.testing.assert_allclose(white_box(255 * mask[..., None].repeat(3, 2)), expected, atol=1.5)
    return True


def test_a_turn_by_a_right_angle_on_paper():
    """About the middle (4, 2) of 4 x 8 px: (x, y) goes to (4 - (y - 2), 2 + (x - 4)), so the pixel
    of row 0 and column 4 goes to x 5..6 and y 2..3: row 2, column 5.
    """
    quarter = np.array([[0, -1, 6], [1, 0, -2], [0, 0, 1]], dtype=float)
    transform = PerspectiveTransform(quarter, pad_value=7)
    image = np.zeros((4, 8, 3), np.uint8)
    image[0, 4] = 200
    turned = transform.apply_image(image)
    assert (turned[2, 5] == 200).all() and (turned == 200).sum() == 3
    assert (turned[:, 0] == 7).all()  # nothing of the image is there
    assert transform.apply_box(np.array([[4.0, 0.0, 5.0, 1.0]])).tolist() == [[5, 2, 6, 3]]


def test_affine_limits():
    """Corners of the scaled and shifted image stay within the limits."""
    augmentation = RandomAffine(translate=0.1, scale=(0.5, 1.5))
    image = picture([0, 0, 1, 1])
    for seed in range(30):
        np.random.seed(seed)
        corners = augmentation.get_transform(image).apply_coords(
            np.array([[0.0, 0.0], [200.0, 120.0]])
        )
        scale = (corners[1] - corners[0]) / [200, 120]
        assert scale[0] == pytest.approx(scale[1]) and 0.5 <= scale[0] <= 1.5
        assert (np.abs(corners.mean(axis=0) - [100, 60]) <= [20.001, 12.001]).all()


def test_affine_probability():
    augmentation = RandomAffine(prob=0.25, degrees=10.0)
    np.random.seed(0)
    done = [
        isinstance(augmentation.get_transform(picture([0, 0, 1, 1])), PerspectiveTransform)
        for _ in range(400)
    ]
    assert 70 <= sum(done) <= 130  # 100 expected, deviation 8.7


def test_a_crop_holds_a_whole_box():
    boxes = np.array(
        [[10.2, 20.7, 60.0, 90.0], [-5.0, 100.0, 30.0, 140.0], [199.0, 0.0, 230.0, 3.0]]
    )
    augmentation = RandomCropWithBoxes(min_scale=0.1)
    clipped = np.clip(boxes, 0, [200, 120, 200, 120])
    for seed in range(100):
        np.random.seed(seed)
        crop = augmentation.get_transform(picture([0, 0, 1, 1]), boxes)
        assert crop.x0 >= 0 and crop.x0 + crop.w <= 200 and crop.y0 >= 0 and crop.y0 + crop.h <= 120
        window = np.array([crop.x0, crop.y0, crop.x0 + crop.w, crop.y0 + crop.h])
        held = (clipped[:, :2] >= window[:2]).all(axis=1) & (clipped[:, 2:] <= window[2:]).all(
            axis=1
        )
        assert held.any()


def test_a_crop_without_boxes():
    np.random.seed(0)
    crop = RandomCropWithBoxes(min_scale=0.5).get_transform(picture([0, 0, 1, 1]), np.zeros((0, 4)))
    assert 60 <= crop.h <= 120 and 100 <= crop.w <= 200


def test_large_scale_jitter_of_a_line():
    np.random.seed(0)
    image = np.zeros((1, 300, 3), np.uint8)
    assert ResizeScale(0.1, 0.1, 64, 64).get_transform(image).new_h == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: RandomAffine(scale=(1.0, 0.5)),
            r"SCALE must be positive and rise, got \(1.0, 0.5\)",
        ),
        (lambda: RandomAffine(shear=90.0), "SHEAR must be in .*got 90.0"),
        (lambda: RandomAffine(perspective=1.0), "PERSPECTIVE in .*and 1.0"),
        (lambda: RandomCropWithBoxes(min_scale=0.0), "MIN_SCALE must be in .*got 0.0"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_perspective_changes_a_side_by_its_share():
    """The far side has at most 1 + p times, or at least 1 - p times, the length of the near one."""
    augmentation = RandomAffine(perspective=0.4)
    ratios = []
    for seed in range(50):
        np.random.seed(seed)
        corners = augmentation.get_transform(picture([0, 0, 1, 1])).apply_coords(
            np.array([[0.0, 60.0], [100.0, 60.0], [200.0, 60.0]])
        )
        left, right = (math.dist(corners[i], corners[i + 1]) for i in (0, 1))
        ratios.append(left / right)
    assert max(ratios) > 1.1 and min(ratios) < 0.9
    assert all(0.6 <= ratio <= 1 / 0.6 for ratio in ratios)
