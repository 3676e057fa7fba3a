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
    image_extensions,
    image_size,
    list_images,
    read_image,
)

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
    "row, expected",
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
    "orientation, expected",
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


def test_list_images_of_a_folder(tmp_path: Path) -> None:
    for name in ["b.JPG", "a.png", "notes.txt", "no_extension", "film.mpg", ".hidden.png"]:
        (tmp_path / name).touch()
    (tmp_path / "c.jpg").mkdir()
    (tmp_path / "deeper").mkdir()

    assert [p.name for p in list_images([str(tmp_path)])] == ["a.png", "b.JPG", "c.jpg"]
    assert list_images([str(tmp_path / "c.jpg")]) == [tmp_path / "c.jpg"]


def test_list_images_of_files_and_patterns(tmp_path: Path) -> None:
    for name in ["b.png", "a.png", "notes.txt", "x[1].png"]:
        (tmp_path / name).touch()

    named = [str(tmp_path / "notes.txt"), str(tmp_path / "*.png"), str(tmp_path / "a.png")]
    assert [p.name for p in list_images(named)] == ["notes.txt", "a.png", "b.png", "x[1].png"]
    assert list_images([str(tmp_path / "x[1].png")]) == [tmp_path / "x[1].png"]


@pytest.mark.parametrize(
    "name, cause",
    [
        ("missing.jpg", "no such file or folder"),
        ("*.bmp", "no image matches this pattern"),
        ("deeper", "the folder holds no image"),
    ],
)
def test_list_images_names_what_it_misses(tmp_path: Path, name: str, cause: str) -> None:
    (tmp_path / "deeper").mkdir()

    with pytest.raises(ValueError) as info:
        list_images([str(tmp_path / name)])
    assert str(info.value) == f"{tmp_path / name}: {cause}"


def test_extensions() -> None:
    assert {".jpg", ".jpeg", ".png", ".tif", ".webp", ".bmp", ".gif"} <= image_extensions()
    assert not {".pdf", ".mpg", ".txt", ".h5", ".eps", ""} & image_extensions()


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


def test_list_images_through_links(tmp_path: Path) -> None:
    (tmp_path / "store" / "deep").mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    for name in ("store/a.png", "store/deep/b.png", "store/._a.png", "photos/c.png"):
        (tmp_path / name).touch()
    (tmp_path / "photos" / "linked").symlink_to("../store")
    (tmp_path / "photos" / "round").symlink_to("../photos")
    linked = tmp_path / "photos" / "linked"
    assert list_images([str(linked)]) == [linked / "a.png"]
    found = list_images([str(tmp_path / "photos" / "**" / "*.png")])
    assert [p.relative_to(tmp_path).as_posix() for p in found] == [
        "photos/c.png",
        "photos/linked/a.png",
        "photos/linked/deep/b.png",
    ]


def test_list_images_by_a_name_of_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "Thumbs.db").touch()
    for name in ("photos\\a.png", "photos\\*", "photos\\**\\*.png"):
        assert list_images([name]) == [Path("photos/a.png")]
    with pytest.raises(ValueError, match=r"no such file or folder \(nor with / for \\; "):
        list_images(["C:\\photos\\a.png"])
