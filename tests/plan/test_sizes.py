"""Input sizes, their pixels and costs, by hand."""

import numpy as np
import pytest
from made_sets import Kind, make_set

from fcos_d2.plan import facts_of
from fcos_d2.plan.sizes import Resize, StepCost, affordable


def facts(*sizes, box=50):
    """Of images of these sizes, height and width, with one box of 50 px in each."""
    coco = make_set(Kind((100, 100), 1, (box, box), (box, box), num_images=len(sizes)))
    for image, (height, width) in zip(coco["images"], sizes, strict=True):
        image.update(height=height, width=width)
    return facts_of(coco)


def test_short_sides():
    found = facts((100, 200), (100, 200))
    resize = Resize.of(192, found)
    assert resize == Resize(192, 384, letterbox=False)
    assert resize.pixels(found.aspects) == 192 * 384
    np.testing.assert_allclose(resize.boxes(found)[:, 2:] - resize.boxes(found)[:, :2], 96)


def test_images_of_very_different_shape_get_a_letterbox():
    found = facts((100, 100), (100, 100), (300, 100), (300, 100))
    resize = Resize.of(192, found)
    assert resize == Resize(192, 384, letterbox=True)  # the median of 1, 1, 3 and 3
    np.testing.assert_allclose(resize.short_sides(found.aspects), [384, 384, 128, 128])
    assert resize.pixels(found.aspects) == 384**2  # padded
    sides = (resize.boxes(found)[:, 2:] - resize.boxes(found)[:, :2])[:, 0]
    np.testing.assert_allclose(sides, [192, 192, 64, 64])


def test_the_long_side_bounds_the_short_one():
    resize = Resize(192, 384, letterbox=False)
    np.testing.assert_allclose(resize.short_sides(np.array([1.0, 2.0, 4.0])), [192, 192, 96])


def test_affordable():
    found = facts((100, 100))
    # 2 images of 0.1 s and 10 s a megapixel: at 320 px, 0.1024 megapixels, 2.248 s.
    cost = StepCost(0.1, 10.0)
    assert cost.seconds(2, 320 * 320) == pytest.approx(2.248)
    largest = affordable(found, cost, seconds=225)
    assert largest(lambda _: 200) == 320 and largest(lambda _: 201) == 288
    assert largest(lambda size: size) == 256  # 193 s, and 268 s at 288 px
    assert largest(lambda _: 1e9) == 32
    assert affordable(found, cost, seconds=None)(lambda _: 1e9) == 1280
