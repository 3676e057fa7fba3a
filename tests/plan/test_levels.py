"""Levels by the objects."""

import numpy as np
import pytest

from fcos_d2.plan.levels import learning_of, levels_for


def squares(*sides):
    """Boxes of these sides around (256, 256)."""
    sides = np.array(sides, dtype=float)[:, None].repeat(2, axis=1)
    return np.concatenate((256 - sides / 2, 256 + sides / 2), axis=1)


SIZE = (512, 512)


def apart(boxes):
    """Each in an image of its own."""
    return boxes, np.arange(len(boxes))


def test_positives_by_hand():
    # Locations of P5 are at 16 + 32 i: those next to 256 are 240 and 272, and the next, 208 and
    # 304, are 48 px away, not strictly within 1.5 strides. So 2 x 2 of them; P4 has them at
    # 8 + 16 i, 248 and 264, and P3 at 252 and 260, also with 2 x 2.
    learning = learning_of(*apart(squares(200, 200)), [8, 16, 32], [32, 64], SIZE)
    assert learning == ([0, 0, 1], 0)
    # Of 2 px, between the locations at 252 and 260: no level has one in it.
    learning = learning_of(*apart(squares(20, 200, 2, 2)), [8, 16, 32], [32, 64], SIZE)
    assert learning == ([0.5, 0, 0.5], 0.5)


def test_a_level_for_each_third():
    strides, bounds, shares = levels_for(*apart(squares(*range(20, 320, 2))), [8, 16, 32], SIZE)
    assert strides == [8, 16, 32] and len(bounds) == 2
    assert min(shares) > 0.15 and sum(shares) == pytest.approx(1)


def test_levels_without_objects_are_left_out():
    strides, bounds, shares = levels_for(*apart(squares(*[14] * 20)), [8, 16, 32], SIZE)
    assert (strides, bounds, shares) == ([8], [], [1])
    strides, _, shares = levels_for(*apart(squares(*[500] * 20)), [8, 16, 32], SIZE)
    assert strides == [32] and shares == [1]


def test_objects_between_all_locations_leave_the_finest_level():
    assert levels_for(*apart(squares(2, 2)), [8, 16, 32], SIZE) == ([8], [], [0.0])


def test_limits_leave_no_gap():
    """With a limit of 16, boxes of 25 px between two locations of P3 are too long for it there."""
    rng = np.random.default_rng(0)
    boxes = squares(*[25] * 200) + rng.uniform(-20, 20, (200, 1)).repeat(4, axis=1)
    assert learning_of(*apart(boxes), [8, 16], [16], SIZE).missed > 0.04
    strides, bounds, _ = levels_for(*apart(boxes), [8, 16], SIZE)
    assert learning_of(*apart(boxes), strides, bounds, SIZE).missed <= 0.01


def test_of_boxes_in_one_image_the_smallest_gets_a_location():
    # The same four locations of P3, and none of P4; in two images both boxes have them.
    boxes = squares(20, 22)
    assert learning_of(*apart(boxes), [8], [], SIZE) == ([1], 0)
    assert learning_of(boxes, np.array([7, 7]), [8], [], SIZE) == ([1], 0.5)
