import io
import json
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcos_deploy.vision.image import (
    ImageError,
    TooManyPixelsError,
    image_size,
    read_image,
    read_reduced,
)
from fcos_deploy.vision.listing import image_extensions

# Our choices, where the list of hard inputs leaves both ways open.
CHOICES = {
    "truncated_half.jpg": "error",
    "truncated.png": "error",
    "directory_named.jpg": "error",
    "corrupt_middle.jpg": "load",  # no decoder notices
    "bomb_20000x20000.png": "error",
}


def save(path: Path, rows: list, dtype: type = np.uint8, **options: object) -> Path:
    Image.fromarray(np.array(rows, dtype)).save(path, **options)
    return path


def test_channel_order(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", [[[1, 2, 3], [4, 5, 6]]])

    assert read_image(path).tolist() == [[[3, 2, 1], [6, 5, 4]]]
    assert read_image(str(path), "RGB").tolist() == [[[1, 2, 3], [4, 5, 6]]]
    assert read_image(path).dtype == np.uint8
    assert read_image(path).flags["C_CONTIGUOUS"]
    with pytest.raises(ValueError, match="format must be 'BGR' or 'RGB', got 'L'"):
        read_image(path, "L")


def test_gray16_is_scaled_from_the_full_range(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", [[0, 257, 65535, 32896]], np.uint16)  # 32896 = 128 * 257

    assert read_image(path)[0, :, 0].tolist() == [0, 1, 255, 128]


def test_int32_within_16_bits_is_read_as_16_bits(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", [[0, 257, 514]], np.int32)

    assert read_image(path)[0, :, 2].tolist() == [0, 1, 2]


def test_int32_of_another_range_is_scaled_from_min_to_max(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", [[-1000, 0, 4100]], np.int32)  # 255 / 5100 = 1 / 20

    assert read_image(path)[0, :, 1].tolist() == [0, 50, 255]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),  # 127.5 goes to the even neighbour
        ([-2.0, np.nan, 3.1], [0, 0, 255]),
        ([7.0, 7.0, 7.0], [0, 0, 0]),
        ([np.nan, np.inf, np.nan], [0, 0, 0]),
    ],
)
def test_float_is_scaled_from_min_to_max(tmp_path: Path, row: list, expected: list) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = read_image(save(tmp_path / "a.tif", [row], np.float32))

    assert image[0, :, 0].tolist() == expected


def test_transparency_is_put_on_white(tmp_path: Path) -> None:
    # Half of black on white: 255 - 128 = 127.
    rgba = save(tmp_path / "a.png", [[[9, 8, 7, 0], [9, 8, 7, 255], [0, 0, 0, 128]]])
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])
    palette.save(tmp_path / "p.png", transparency=1)

    assert read_image(rgba)[0].tolist() == [[255] * 3, [7, 8, 9], [127] * 3]
    assert read_image(tmp_path / "p.png")[0].tolist() == [[30, 20, 10], [255] * 3]


def test_one_bit_and_cmyk(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "one.png")
    Image.new("CMYK", (1, 1), (0, 255, 255, 0)).save(tmp_path / "red.tif")

    assert read_image(tmp_path / "one.png")[0, :, 0].tolist() == [255, 0]
    assert read_image(tmp_path / "red.tif", "RGB")[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("extension", ["png", "tif", "webp"])
@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, [[1, 2, 3], [4, 5, 6]]),
        (2, [[3, 2, 1], [6, 5, 4]]),
        (3, [[6, 5, 4], [3, 2, 1]]),
        (4, [[4, 5, 6], [1, 2, 3]]),
        (5, [[1, 4], [2, 5], [3, 6]]),
        (6, [[4, 1], [5, 2], [6, 3]]),
        (7, [[6, 3], [5, 2], [4, 1]]),
        (8, [[3, 6], [2, 5], [1, 4]]),
        (9, [[1, 2, 3], [4, 5, 6]]),
    ],
)
def test_exif_orientation(tmp_path: Path, extension: str, orientation: int, expected: list) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = [[[40 * v] * 3 for v in row] for row in [[1, 2, 3], [4, 5, 6]]]
    path = save(tmp_path / f"a.{extension}", stored, exif=exif, lossless=True)

    assert (read_image(path)[:, :, 0] // 40).tolist() == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_exif_orientation_of_gray_tiff(tmp_path: Path, dtype: type) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.array([[0, 1, 2], [3, 4, 5]]) * (257 if dtype == np.uint16 else 1)
    image = read_image(save(tmp_path / "a.tif", stored, dtype, exif=exif))

    unit = 51 if dtype == np.float32 else 1  # 0..5 is stretched to 0..255
    assert (image[:, :, 0] // unit).tolist() == [[3, 0], [4, 1], [5, 2]]


def test_orientation_and_16_bits_together(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    path = save(tmp_path / "a.png", [[257, 514]], np.uint16, exif=exif)

    assert read_image(path)[0, :, 0].tolist() == [2, 1]


def test_strips_join_to_the_whole(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (1025, 3, 3), np.uint8)

    assert np.array_equal(read_image(save(tmp_path / "a.png", rows), "RGB"), rows)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_content_and_open_files_are_read_as_their_paths(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", np.arange(768).reshape(16, 16, 3) % 251)
    content, wanted = path.read_bytes(), read_image(path)

    assert read_image(content).tolist() == wanted.tolist()
    assert read_image(memoryview(content)).tolist() == wanted.tolist()
    with path.open("rb") as file:
        assert read_image(file).tolist() == wanted.tolist()
    with io.BytesIO(b"other" + content) as stream:  # from where it stands, as a socket is read
        stream.seek(5)
        assert read_image(stream, "RGB").tolist() == wanted[:, :, ::-1].tolist()
    reduced, size = read_reduced(content, lambda size: (1, 1))
    assert image_size(content) == size == (16, 16)
    assert reduced.shape == ((4, 4, 3) if suffix == "jpg" else (16, 16, 3))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "image: the file is empty"),
        (b"no image", "image: not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "image: a picture of the format EPS, which is not read"),
        (io.BytesIO(), "image: the file is empty"),
        (io.StringIO("text"), "image: open it for reading bytes"),
        (7, "must be a path, bytes or an open file, got int"),
        (None, "must be a path, bytes or an open file, got NoneType"),
    ],
)
def test_content_that_is_no_image(file: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read_image(file)


def test_open_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with (tmp_path / "a.png").open("rb") as file, pytest.raises(ImageError, match="a.png: not an"):
        read_image(file)


def test_formats_and_pixels_can_be_limited(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.zeros((4, 5), np.uint8))
    assert read_image(path, formats=("PNG",), max_pixels=20).shape == (4, 5, 3)
    with pytest.raises(TooManyPixelsError, match=r"a.png: more than 19 pixels"):
        read_image(path, max_pixels=19)
    with pytest.raises(ImageError, match=r"a.png: a picture of the format PNG, which is not read"):
        read_image(path, formats=("JPEG",))


def test_errors_name_file_and_cause(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3)))
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:5000])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    causes = {
        "cut.png": "the file is cut short",
        "empty.png": "the file is empty",
        "text.png": "not an image",
        "folder.png": "a folder, not an image file",
        "pipe.png": "not a regular file",
        "missing.png": "no such file",
    }
    for name, cause in causes.items():
        with pytest.raises(ImageError, match=f"^{tmp_path / name}: {cause}") as info:
            read_image(tmp_path / name)
        assert "\n" not in str(info.value)


def test_too_many_pixels_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", np.zeros((10, 10)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 49)  # refused above twice the limit

    with pytest.raises(ImageError, match="more than 98 pixels; for more, set FCOS_MAX_PIXELS in"):
        read_image(path)


def test_error_survives_worker_processes() -> None:
    error = pickle.loads(pickle.dumps(ImageError("a.jpg: the file is empty")))

    assert isinstance(error, ImageError)
    assert str(error) == "a.jpg: the file is empty"


def test_hard_inputs(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "hard_inputs"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    baseline = read_image(folder / "images" / "ok_baseline.jpg").mean()
    upright = read_image(folder / "images" / "exif_orient_1.jpg").astype(float)
    for name, case in manifest.items():
        path = folder / "images" / name
        unknown = path.suffix == ".avif" and ".avif" not in image_extensions()  # older Pillow
        if unknown or CHOICES.get(name, case["expected"]).startswith("error"):
            with pytest.raises(ImageError, match=f"{name}: "):
                read_image(path)
            continue
        image = read_image(path)
        assert sorted(image.shape[:2]) == sorted(case["pil"]["size"]), name
        if name.startswith("exif_orient_") and "invalid" not in name:
            assert np.abs(image - upright).mean() < 0.5, name
        if case["cv2_imread"] and case["pil"]["mode"] in ("L", "RGB", "I;16", "1", "CMYK"):
            assert abs(image.mean() - case["cv2_imread"][1]) < 1.5, name
        if name in ("gray16.png", "rgb16.png", "cmyk.jpg"):
            assert abs(image.mean() - baseline) < 3, name


def test_the_environment_sets_the_pixel_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.png", np.zeros((10, 10)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 49)
    with pytest.raises(ImageError):
        image_size(path)
    monkeypatch.setenv("FCOS_MAX_PIXELS", "100")
    assert read_image(path).shape == (10, 10, 3) and image_size(path) == (10, 10)
    monkeypatch.setenv("FCOS_MAX_PIXELS", "98")
    with pytest.raises(ImageError, match="more than 98 pixels"):
        read_image(path)
    monkeypatch.setenv("FCOS_MAX_PIXELS", "all")
    with pytest.raises(ValueError, match="FCOS_MAX_PIXELS must be a whole number .*'all'"):
        read_image(path)


def test_an_error_is_one_line_that_a_terminal_can_take(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as info:
        read_image(tmp_path / "a\n\x1b[31m\udcff.png")
    assert str(info.value) == rf"{tmp_path}/a\n\x1b[31m\xff.png: no such file or directory"
