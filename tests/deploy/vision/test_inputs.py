"""What counts as an image, and what is said of what does not."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fcos_deploy.vision.image import ImageError, read_image
from fcos_deploy.vision.inputs import bgr_image, bgr_images, shows_objects
from fcos_deploy.vision.pixels import ORIENTATION_TAG

RED_BLUE = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)  # RGB, 1 x 2


def test_arrays_are_taken_as_they_are() -> None:
    image = np.zeros((3, 4, 3), np.uint8)
    assert bgr_image(image) is image
    batch = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    assert [x.tolist() for x in bgr_images(batch)] == batch.tolist()
    assert [x is image for x in bgr_images(x for x in (image, image))] == [True, True]
    assert bgr_images([]) == []


def test_pillow_images_are_rgb() -> None:
    image = Image.fromarray(RED_BLUE)
    assert bgr_image(image).tolist() == [[[0, 0, 255], [255, 0, 0]]]
    assert bgr_image(image.convert("L")).tolist() == [[[76] * 3, [29] * 3]]
    clear = Image.new("RGBA", (1, 1), (10, 20, 30, 0))
    assert bgr_image(clear).tolist() == [[[255] * 3]]
    assert bgr_image(Image.new("P", (2, 1))).shape == (1, 2, 3)
    assert bgr_image(Image.fromarray(np.array([[0, 65535]], np.uint16)))[0, 1].tolist() == [255] * 3


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pillow_images_are_turned_as_their_files(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    path = tmp_path / f"a.{suffix}"
    pixels = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40, np.ones((8, 8), np.uint8))
    Image.fromarray(pixels).convert("RGB").save(path, exif=exif, lossless=True)
    wanted = read_image(path)

    assert wanted.shape[:2] == ((16, 24) if orientation < 5 else (24, 16))
    with Image.open(path) as image:
        assert np.array_equal(bgr_image(image), wanted)
    with Image.open(path) as image:
        assert np.array_equal(bgr_image(image.convert("RGB")), wanted)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.uint8), "for grey images, cv2.cvtColor.*COLOR_GRAY2BGR"),
        (np.zeros((4, 4, 1), np.uint8), "for grey images"),
        (np.zeros((4, 4, 4), np.uint8), "for images with transparency, .*COLOR_BGRA2BGR"),
        (np.zeros((3, 8, 9), np.uint8), r"channels first, image.transpose\(1, 2, 0\)"),
        (np.zeros((4, 4, 3)), r"got float64 \(4, 4, 3\): for values in \[0, 1\], \(255"),
        (np.zeros((4, 4, 3), np.uint16), r"got uint16 \(4, 4, 3\): scale its values to 0..255"),
        (np.zeros((0, 7, 3), np.uint8), r"no pixels, got \(H, W\) = \(0, 7\): leave out empty"),
        (np.zeros((7, 0, 3), np.uint8), r"no pixels, got \(H, W\) = \(7, 0\)"),
        (Image.new("RGB", (0, 5)), r"no pixels, got \(H, W\) = \(5, 0\)"),
        (
            [np.zeros((4, 4, 3), np.uint8)],
            "a path or a Pillow image, got list: several images go to",
        ),
        (torch.zeros(3, 4, 4), "got Tensor"),
        (None, "got NoneType: was a file not read"),
        (7, "got int"),
    ],
)
def test_other_things_get_one_line(image: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        bgr_image(image)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=f"image 1 of 2: .*{message}"):
        bgr_images([np.zeros((4, 4, 3), np.uint8), image])


def test_content_of_files_and_open_files(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RED_BLUE).save(path)
    with path.open("rb") as file:
        images = bgr_images([path.read_bytes(), file, path])
    assert [image.tolist() for image in images] == [[[[0, 0, 255], [255, 0, 0]]]] * 3


def test_one_image_is_not_a_list(tmp_path: Path) -> None:
    singles = ["a.jpg", b"content", io.BytesIO(), tmp_path, Image.new("L", (2, 2))]
    for image in (np.zeros((4, 4, 3), np.uint8), *singles):
        with pytest.raises(ValueError, match="must be a list of images, got a single one"):
            bgr_images(image)
    with pytest.raises(ValueError, match="must be a list of images, got int"):
        bgr_images(5)


def test_images_that_cannot_be_decoded(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"image 1 of 2: .*gone.jpg: no such file"):
        bgr_images([np.zeros((4, 4, 3), np.uint8), tmp_path / "gone.jpg"])
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with (
        Image.open(tmp_path / "cut.png") as image,
        pytest.raises(ImageError, match="cut.png: the file is cut short"),
    ):
        bgr_image(image)


def test_where_nothing_can_be() -> None:
    assert not any(shows_objects(*size) for size in ((1, 1), (1, 2000), (2000, 1)))
    assert shows_objects(2, 2)
