"""Each rule, on numbers whose answer is known."""

import numpy as np
import pytest

from fcos_d2.plan import rules


def affordable(seconds, per_megapixel=1.0):
    """Square images that cost this many seconds a megapixel."""

    def largest(images):
        cost = {x: images(x) * per_megapixel * x * x / 1e6 for x in range(32, 1281, 32)}
        fits = [x for x in cost if cost[x] <= seconds]
        return max(fits, default=32)

    return largest


@pytest.mark.parametrize(
    ("native", "smallest_tenth", "seconds", "expected"),
    [
        # With 2 classes, 675 images are needed at 288 px, and 675 (x / 288)^2 at x px. At 1 s a
        # megapixel they fit into 225 s at (225e6 * 288^2 / 675)^(1/4) = 408 px, so 384.
        (1000, 0.05, 225, 384),
        # Objects of a tenth of the side have 64 px at 640, and no more are needed ...
        (1000, 0.1, 2500, 640),
        # ... unless there is plenty of time: 12000 images in 12000 s fit at 1000, so 992.
        (1000, 0.1, 12000, 992),
        # No larger than the images.
        (320, 0.1, 5000, 320),
        # Small objects, 0.02: 10 px need 500 px, though enough images in 150 s only fit at 368;
        # 500 fit at 547.
        (1000, 0.02, 150, 512),
        # There, in 75 s, 500 fit at 387.
        (1000, 0.02, 75, 384),
        # At 256 px 533 images are needed, which take 34.95 s.
        (1000, 0.1, 35, 256),
        (1000, 0.1, 33, 224),
        # Large objects have 154 px at 256, and no more are needed.
        (1000, 0.6, 300, 256),
        # The least, though fewer images fit.
        (1000, 0.2, 1, 192),
        # Pictures of 64 px whose objects have 8 px are enlarged, to 16.
        (64, 0.125, 5000, 128),
        # And at most three times.
        (64, 0.01, 5000, 192),
    ],
)
def test_input_size(native, smallest_tenth, seconds, expected):
    size, reason = rules.input_size(native, smallest_tenth, 2, 14, affordable(seconds))
    assert size == expected
    assert f"{smallest_tenth * size:.0f} px there" in reason


def test_more_classes_need_more_images():
    # 10 classes need 1475 (x / 288)^2 images, which fit into 225 s at 335 px.
    assert rules.input_size(1000, 0.05, 10, 14, affordable(225))[0] == 320


def test_classes_of_scarce_objects_need_more_images():
    # 6 classes need 575 + 5 * 100 = 1075 (x / 288)^2 images, which fit into 150 s at 328 px; with
    # 3.5 objects in each 575 + 5 * 400 = 2575, which fit at 264 px.
    assert rules.input_size(1000, 0.1, 6, 14, affordable(150))[0] == 320
    assert rules.input_size(1000, 0.1, 6, 3.5, affordable(150))[0] == 256
    # There is nothing to tell one class from.
    sizes = [rules.input_size(1000, 0.1, 1, x, affordable(150))[0] for x in (14, 3.5)]
    assert sizes == [352, 352]


@pytest.mark.parametrize(
    ("smallest_tenth", "objects", "expected"),
    [
        (0.05, 14, 320),
        # 675 images fit into 90 s at 324 px; with 4 x 14 objects 575 / 2 + 100 / 4 do, at 393.
        (0.05, 56, 384),
        # 10 px of the smallest tenth need 500 px; 500 images in 90 s fit at 424 px, and fewer are
        # not enough of any images.
        (0.02, 3, 416),
        (0.02, 56, 416),
    ],
)
def test_crowded_images_are_needed_less_often(smallest_tenth, objects, expected):
    found = rules.input_size(1000, smallest_tenth, 2, objects, affordable(90))
    assert found[0] == expected


def test_reasons_of_sizes():
    def reason(native, smallest_tenth, seconds):
        found = rules.input_size(native, smallest_tenth, 2, 14, affordable(seconds))
        return found[1].split("px there")[1]

    assert reason(1000, 0.05, seconds=225) == "; larger ones would leave time for too few images"
    assert reason(1000, 0.1, seconds=2500) == "; more px would show little more"
    assert reason(320, 0.1, seconds=5000) == "; as large as the images"
    assert reason(1000, 0.02, seconds=150) == ", and needs them more than further images"


def test_long_side():
    square = np.ones(20)
    assert rules.long_side(192, square) == 192
    assert rules.long_side(192, 4 / 3 * square) == 256
    assert rules.long_side(192, 30 * square) == 4 * 192
    # One long image among many does not make all others wait.
    assert rules.long_side(192, np.array([*square, 4.0])) == 192


def test_training_sizes():
    assert rules.training_sizes(384, epochs=4.9) == (384,)
    assert rules.training_sizes(384, epochs=7) == (320, 352, 384, 416, 448)
    assert rules.training_sizes(256, epochs=100) == (224, 256, 288)


@pytest.mark.parametrize(
    ("smallest", "largest", "strides"),
    [(20, 200, [8, 16, 32]), (6, 50, [4, 8, 16, 32]), (20, 700, [8, 16, 32, 64])],
)
def test_strides(smallest, largest, strides):
    assert rules.strides_for(smallest, largest) == strides


def test_size_bounds():
    assert rules.size_bounds([8, 16, 32, 64]) == [64, 128, 256]  # as published
    assert rules.size_bounds([4, 8, 32], 1.5) == [48, 96]
    assert rules.size_bounds([8]) == []


def test_learning_rate():
    assert rules.learning_rate("imagenet", 2, "AdamW") == 1e-3
    assert rules.learning_rate("coco", 8, "AdamW") == 4e-4  # twice that of a batch of 2
    assert rules.learning_rate("coco", 8, "SGD") == 8e-4
    assert rules.learning_rate("imagenet", 16, "AdamW") == 1e-3  # no higher


@pytest.mark.parametrize("iterations", [1, 10, 300, 100_000])
def test_the_average_forgets_in_a_share_of_the_run(iterations):
    decay = rules.ema_decay(iterations)
    half_life = max(rules.EMA_HALF_LIFE * iterations, 1)
    assert 0 < decay < 1 and decay**half_life == pytest.approx(0.5, abs=0.01)
    assert 1 <= rules.warmup(iterations) <= max(iterations, 1)


def test_accumulation():
    # 70 of 100 bytes may be used.
    assert rules.accumulation(8, 70, 100) == 1
    assert rules.accumulation(8, 71, 100) == 2
    assert rules.accumulation(6, 200, 100) == 3
    assert rules.accumulation(7, 1000, 100) == 7  # one image at a time, whatever it takes
    assert rules.accumulation(1, 1000, 0) == 1


@pytest.mark.parametrize(("most", "kept"), [(0, 100), (66, 100), (67, 200), (1000, 1500)])
def test_detections(most, kept):
    assert rules.detections(most) == kept


def test_budgets():
    assert rules.default_budget(is_cpu=True) == 1200
    assert rules.timing_seconds(300) == 12 and rules.timing_seconds(3600) == 40


def test_precision():
    assert rules.precision("cpu", True, "resnet18") == "bf16"
    assert rules.precision("cpu", True, "tf_efficientnet_lite0") == "fp32"
    assert rules.precision("cpu", False, "resnet18") == "fp32"
    assert rules.precision("cuda", True, "tf_efficientnet_lite0") == "bf16"
    assert rules.precision("cuda", False, "resnet50") == "fp16"
