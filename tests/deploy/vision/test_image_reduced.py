"""JPEG files that come at a fraction of their size."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fcos_deploy.vision.image import ImageError, read_image, read_reduced


def write(path: Path, size: tuple[int, int], orientation: int = 1) -> Path:
    """A white rectangle on black, at x 40..80 and y 16..56 of the upright picture."""
    upright = np.zeros((*size, 3), np.uint8)
    upright[16:56, 40:80] = 255
    undo = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[orientation]
    picture = Image.fromarray(upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    (picture if undo is None else picture.transpose(undo)).save(path, quality=95, exif=exif)
    return path


def white_box(image: np.ndarray) -> list[float]:
    """xyxy in px, to fractions: a grey pixel at a side counts in part."""
    white = image[..., 0].astype(float) / 255
    rows, columns = white.max(axis=1), white.max(axis=0)
    ends = np.flatnonzero(columns > 0.02)[0], np.flatnonzero(rows > 0.02)[0]
    return [*ends, columns.sum(), rows.sum()]


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_boxes_are_those_of_the_whole_image_divided(tmp_path, factor, orientation):
    path = write(tmp_path / "a.jpg", (96, 160), orientation)
    least = 96 // factor, 160 // factor
    image, size = read_reduced(path, lambda given: least)
    assert size == (96, 160) == read_image(path).shape[:2] and image.shape[:2] == least
    expected = [value / factor for value in (40, 16, 40, 40)]
    np.testing.assert_allclose(white_box(image), expected, atol=0.15)
    whole = read_image(path).reshape(least[0], factor, least[1], factor, 3).mean(axis=(1, 3))
    assert np.abs(image - whole).mean() < 1  # the mean of the pixels that each stands for


@pytest.mark.parametrize(
    ("least", "factor"), [((25, 20), 4), ((26, 20), 2), ((51, 40), 1), ((1, 1), 8)]
)
def test_never_smaller_than_asked_and_no_part_of_a_pixel(tmp_path, least, factor):
    """101 x 81 px: of a quarter, 25 x 20 whole pixels."""
    path = write(tmp_path / "a.jpg", (101, 81))
    image, size = read_reduced(path, lambda given: least)
    assert size == (101, 81) and image.shape == (101 // factor, 81 // factor, 3)
    assert image.flags.c_contiguous and image.flags.writeable


def test_turned_pictures_of_odd_sizes_are_not_reduced(tmp_path):
    """What is left of a pixel would lie at the left or top, and shift the boxes."""
    path = write(tmp_path / "a.jpg", (99, 161), 6)
    image, _ = read_reduced(path, lambda size: (1, 1))
    assert (image == read_image(path)).all()


def test_all_other_files_are_read_as_ever(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 64, 3), (1, 2, 3), np.uint8))
    for format in ("BGR", "RGB"):
        image, size = read_reduced(tmp_path / "a.png", lambda size: (1, 1), format)
        assert size == (64, 64) and (image == read_image(tmp_path / "a.png", format)).all()
    path = write(tmp_path / "a.jpg", (96, 160))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ImageError, match=r"a\.jpg: the file is cut short"):
        read_reduced(path, lambda size: (1, 1))
    with pytest.raises(ValueError, match="format must be"):
        read_reduced(path, lambda size: size, "GBR")
