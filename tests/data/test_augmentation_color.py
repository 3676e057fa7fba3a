"""Colour changes on colours whose hue and saturation are known."""

import numpy as np
import pytest
from detectron2.data import transforms as T

from fcos_d2.data.augmentation_color import (
    HueSaturationTransform,
    RandomBrightness,
    RandomContrast,
    color_jitter,
)

RED, GREEN, BLUE = [255, 0, 0], [0, 255, 0], [0, 0, 255]  # as RGB


def one_pixel(rgb: list[int], image_format: str) -> np.ndarray:
    values = rgb if image_format == "RGB" else rgb[::-1]
    return np.array([[values]], dtype=np.uint8)


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
def test_a_third_of_the_circle_turns_red_to_green_to_blue_to_red(image_format):
    turn = HueSaturationTransform(1 / 3, 1.0, image_format)
    for before, after in ((RED, GREEN), (GREEN, BLUE), (BLUE, RED)):
        turned = turn.apply_image(one_pixel(before, image_format)).astype(int)
        assert np.abs(turned - one_pixel(after, image_format)).max() <= 6  # a step of the hue


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
def test_saturation(image_format):
    """Without it red is white (its largest channel stays); half of it leaves 255 and 127."""
    pixel = one_pixel(RED, image_format)
    grey = HueSaturationTransform(0.0, 0.0, image_format).apply_image(pixel)
    assert grey.tolist() == [[[255, 255, 255]]]
    half = HueSaturationTransform(0.0, 0.5, image_format).apply_image(pixel).astype(int)
    assert np.abs(np.sort(half.ravel()) - [127, 127, 255]).max() <= 1


def test_nothing_changes_at_the_neutral_values():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    same = HueSaturationTransform(0.0, 1.0, "BGR").apply_image(image)
    # A sixth of the circle has 43 steps of the hue, of 6 grey levels each; saturations are rounded.
    assert np.abs(same.astype(int) - image).max() <= 8
    assert color_jitter() == []


def test_ranges_and_boxes():
    """Brightness and contrast stay within 20 %; boxes stay where they are."""
    augmentations = color_jitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1)
    assert len(augmentations) == 3
    image = np.full((4, 4, 3), 100, np.uint8)
    means = []
    for seed in range(40):
        np.random.seed(seed)
        transform = augmentations[0].get_transform(image)
        means.append(transform.apply_image(image).mean())
        assert transform.apply_box(np.array([[1.0, 1.0, 2.0, 2.0]])).tolist() == [[1, 1, 2, 2]]
    assert 79 <= min(means) < 90 and 110 < max(means) <= 121


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(RandomBrightness, T.RandomBrightness), (RandomContrast, T.RandomContrast)],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_those_of_detectron2(ours, theirs, dtype, channels):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, channels)).astype(dtype)
    for seed in range(10):
        changed = []
        for kind in (ours, theirs):
            np.random.seed(seed)
            changed.append(kind(0.3, 1.9).get_transform(image).apply_image(image))
        np.testing.assert_array_equal(*changed)
        assert changed[0].dtype == changed[1].dtype


def test_float_images_are_clipped():
    """As the float resize gives them, a little beyond the grey levels."""
    image = np.array([[[-3.0, 300.0, 20.4]]], dtype=np.float32)
    changed = HueSaturationTransform(0.0, 1.0, "BGR").apply_image(image)
    assert changed.dtype == np.uint8 and np.abs(changed.astype(int) - [[[0, 255, 20]]]).max() <= 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"brightness": 1.5}, r"COLOR_JITTER.BRIGHTNESS must be in \[0, 1\], got 1.5"),
        ({"hue": 0.6}, r"COLOR_JITTER.HUE must be in \[0, 0.5\], got 0.6"),
        ({"hue": 0.1, "image_format": "L"}, "BGR or RGB .*got 'L'"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        color_jitter(**options)
