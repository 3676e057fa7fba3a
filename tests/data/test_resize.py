"""The fast resize against Pillow's, on real images and on the arrays that are hardest for it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.data import transforms as T
from PIL import Image

from fcos_d2.data.resize import FastResizeTransform, to_planes
from fcos_deploy.vision import read_image

# Of the values of each image, by the kernel that makes them.
LARGEST_SHARES = {"larger": 0.3, "smaller": 0.0, "half": 0.02}


def compare(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Differences in grey levels from Pillow."""
    ours = FastResizeTransform(*image.shape[:2], *size).apply_image(image)
    theirs = np.asarray(Image.fromarray(image).resize(size[::-1], Image.BILINEAR))
    assert ours.dtype == np.uint8 and ours.shape == theirs.shape
    return np.abs(ours.astype(int) - theirs)


def test_on_paper() -> None:
    """One row of 0 and 200 becomes 4 px at -0.25, 0.25, 0.75, 1.25: 0, 50, 150, 200."""
    image = np.repeat(np.array([[0, 200]], np.uint8)[..., None], 3, axis=2)
    larger = FastResizeTransform(1, 2, 1, 4).apply_image(image)
    assert larger[0, :, 0].tolist() == [0, 50, 150, 200]
    # Half of 4 px: the triangle reaches 2 px to each side of 1 and 3; of the distances 0.5, 0.5
    # and 1.5 it makes the weights 3, 3 and 1 of 7. 0 0 100: 14.3; 0 100 200: (3 * 300) / 7 = 128.6.
    image = np.repeat(np.array([[0, 0, 100, 200]], np.uint8)[..., None], 3, axis=2)
    image = np.repeat(image, 2, axis=0)
    assert FastResizeTransform(2, 4, 1, 2).apply_image(image)[0, :, 0].tolist() == [14, 129]


@pytest.mark.parametrize(
    ("kind", "scales"),
    [
        ("larger", [1.0, 1.066, 1.25, 4 / 3, 5 / 3, 2.7]),
        ("smaller", [0.51, 0.8, 0.955]),
        ("half", [0.1, 0.3, 0.474, 0.5]),
    ],
)
def test_real_images_are_within_one_grey_level(shared_dir: Path, kind: str, scales: list) -> None:
    paths = sorted((shared_dir / "data" / "coco_sample" / "images").glob("*.jpg"))[:30:6]
    for path in paths:
        image = read_image(path)
        for scale in scales:
            height, width = (int(side * scale) for side in image.shape[:2])
            differences = compare(image, (height, width))
            assert differences.max() <= 1, (path.name, scale)
            assert (differences > 0).mean() <= LARGEST_SHARES[kind], (path.name, scale)


def test_enlarged_images_are_those_of_the_deployed_model() -> None:
    """fcos_deploy, which has no torch, resizes all channels at once."""
    image = np.random.default_rng(0).integers(0, 256, (90, 121, 3), np.uint8)
    for height, width in [(90, 121), (91, 121), (120, 161), (333, 444)]:
        ours = FastResizeTransform(90, 121, height, width).apply_image(image)
        assert np.array_equal(ours, cv2.resize(image, (width, height)))


def test_noise_and_extreme_shapes_are_within_one_grey_level() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (120, 161, 3), np.uint8)
    for image in (noise, (noise > 127).astype(np.uint8) * 255):
        for size in [(120, 161), (121, 161), (150, 200), (1000, 170), (60, 80), (7, 3), (1, 1)]:
            assert compare(image, size).max() <= 1, size
    for shape, size in [((1, 1), (9, 7)), ((1, 200), (1, 40)), ((200, 1), (400, 2))]:
        image = rng.integers(0, 256, (*shape, 3), np.uint8)
        assert compare(image, size).max() <= 1, (shape, size)


@pytest.mark.parametrize(
    "image",
    [
        np.arange(48, dtype=np.uint8).reshape(6, 8),
        np.arange(48, dtype=np.uint8).reshape(6, 8, 1),
        np.arange(144, dtype=np.float32).reshape(6, 8, 3),
    ],
    ids=["gray", "one channel", "float"],
)
def test_other_images_stay_with_detectron2(image: np.ndarray) -> None:
    ours = FastResizeTransform(6, 8, 9, 12).apply_image(image)
    assert np.array_equal(ours, T.ResizeTransform(6, 8, 9, 12).apply_image(image))


def test_views_and_other_methods() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    image.flags.writeable = False
    for view in (image[:, ::-1], image[..., ::-1]):
        for size in [(25, 40), (10, 15)]:
            transform = FastResizeTransform(20, 30, *size)
            copied = transform.apply_image(np.ascontiguousarray(view))
            assert np.array_equal(transform.apply_image(view), copied)
    for method in (Image.NEAREST, Image.BICUBIC):
        ours = FastResizeTransform(20, 30, 25, 40, method).apply_image(image)
        theirs = T.ResizeTransform(20, 30, 25, 40, method).apply_image(image)
        assert np.array_equal(ours, theirs)
    labels = np.arange(600, dtype=np.uint8).reshape(20, 30)
    nearest = FastResizeTransform(20, 30, 40, 60).apply_segmentation(labels)
    assert np.array_equal(nearest, np.kron(labels, np.ones((2, 2), np.uint8)))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_planes(dtype: type) -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(dtype)
    for view in (image, image[:, ::-1], image[1:, 2:], image[..., ::-1], image[::-1]):
        planes = to_planes(view)
        assert planes.flags.c_contiguous and planes.flags.writeable
        assert np.array_equal(planes, np.stack([view[..., c] for c in range(3)]))


def test_forked_workers_resize_after_their_parent_did() -> None:
    """OpenCV's threads do not survive a fork: its pool has to notice."""
    from torch.utils.data import DataLoader

    image = np.full((480, 640, 3), 7, np.uint8)
    transform = FastResizeTransform(480, 640, 800, 1067)
    assert cv2.getNumThreads() >= 1 and transform.apply_image(image).min() == 7
    loader = DataLoader(
        [image] * 2,
        num_workers=1,
        batch_size=None,
        collate_fn=transform.apply_image,
        multiprocessing_context="fork",
        timeout=60,
    )
    assert [item.max() for item in loader] == [7, 7]
