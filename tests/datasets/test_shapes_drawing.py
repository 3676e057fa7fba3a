import math

import numpy as np
import pytest

from fcos_d2.datasets.shapes_drawing import (
    CLASS_NAMES,
    IMAGE_SIZE,
    NUM_SHAPES,
    cover,
    draw_picture,
    mask_box,
)


def test_mask_box_is_half_open() -> None:
    mask = np.zeros((5, 7), bool)
    mask[1, 2] = mask[3, 6] = True  # (x, y) = (2, 1) and (6, 3)

    assert mask_box(mask) == (2, 1, 7, 4)
    with pytest.raises(ValueError, match=r"mask of shape \(5, 7\) is empty"):
        mask_box(np.zeros((5, 7), bool))


def test_cover_of_a_rectangle() -> None:
    # From x = 2 to 6 and y = 1 to 3: pixels 2..5 and 1..2 are full, whatever touches them from
    # outside is at most faint (the filled outline is half a subpixel wide).
    corners = np.array([[2, 1], [6, 1], [6, 3], [2, 3]], float)
    coverage = cover([corners], (5, 8))

    assert coverage.shape == (5, 8)
    assert (coverage[1:3, 2:6] == 1).all()
    assert mask_box(coverage >= 0.5) == (2, 1, 6, 3)


def test_cover_of_a_hole_is_empty() -> None:
    outer = np.array([[1, 1], [9, 1], [9, 9], [1, 9]], float)
    coverage = cover([outer, 5 + (outer - 5) / 2], (10, 10))  # hole from 3 to 7

    assert (coverage[4:6, 4:6] == 0).all()
    assert coverage[5, 2] == 1
    assert mask_box(coverage >= 0.5) == (1, 1, 9, 9)


def test_box_of_a_circle_that_leaves_the_image() -> None:
    # Centre (3, 10), radius 6: x from -3 to 9, of which 0..9 is seen, and y from 4 to 16.
    angles = np.linspace(0, 2 * math.pi, 400, endpoint=False)
    circle = np.stack([3 + 6 * np.cos(angles), 10 + 6 * np.sin(angles)], axis=1)

    assert mask_box(cover([circle], (20, 20)) >= 0.5) == (0, 4, 9, 16)


def test_same_seed_same_picture() -> None:
    pictures = [draw_picture(np.random.default_rng(seed)) for seed in (1, 1, 2)]

    assert np.array_equal(pictures[0][0], pictures[1][0])
    assert pictures[0][1] == pictures[1][1]
    assert not np.array_equal(pictures[0][0], pictures[2][0])


def test_pictures_and_shapes_are_within_bounds() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(30):
        picture, shapes = draw_picture(rng)
        assert picture.shape == (*IMAGE_SIZE, 3) and picture.dtype == np.uint8
        assert picture.std() > 2
        assert 1 <= len(shapes) <= NUM_SHAPES[1]
        for class_id, (x0, y0, x1, y1), area in shapes:
            assert 0 <= x0 < x1 <= IMAGE_SIZE[1] and 0 <= y0 < y1 <= IMAGE_SIZE[0]
            assert 0 < area <= (x1 - x0) * (y1 - y0)
            seen.add(class_id)
    assert seen == set(range(len(CLASS_NAMES)))


def test_image_size_is_height_width() -> None:
    picture, _ = draw_picture(np.random.default_rng(0), image_size=(96, 160))

    assert picture.shape == (96, 160, 3)
