"""JPEG files that OpenCV decodes, against the reader that asks Pillow alone."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcos_deploy.vision import image as module
from fcos_deploy.vision.image import ImageError, read_image
from fcos_deploy.vision.jpeg import decode_jpeg


def by_pillow(path: Path, monkeypatch: pytest.MonkeyPatch, format: str = "BGR") -> object:
    """The image, or the sentence of the error."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "decode_jpeg", lambda *_: None)
        return outcome(path, format)


def outcome(path: Path, format: str = "BGR") -> object:
    try:
        return read_image(path, format)
    except ImageError as error:
        return str(error)


def assert_same(ours: object, theirs: object, name: str) -> None:
    assert type(ours) is type(theirs), (name, ours, theirs)
    assert np.array_equal(ours, theirs) if isinstance(ours, np.ndarray) else ours == theirs, name


def picture(mode: str = "RGB", size: tuple[int, int] = (61, 43)) -> Image.Image:
    """Smooth, so that a JPEG file of it has few bytes, with some noise."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    noise = np.random.default_rng(0).integers(0, 40, (size[1], size[0], 3))
    values = np.stack([2 * x, 3 * y, x + y], axis=-1) + noise
    return Image.fromarray(values.astype(np.uint8)).convert(mode)


def test_real_images_are_the_same_to_the_bit(
    shared_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shared_dir / "data"
    small = [p for p in (data / "hard_inputs" / "images").iterdir() if "big" not in p.name]
    jpegs = sorted((data / "coco_sample" / "images").glob("*.jpg"))[:20]
    assert len(small) > 50 and len(jpegs) == 20
    for path in (*small, *jpegs):
        assert_same(outcome(path), by_pillow(path, monkeypatch), path.name)


@pytest.mark.parametrize("format", ["BGR", "RGB"])
@pytest.mark.parametrize(
    ("mode", "options", "is_fast"),
    [
        ("RGB", {"subsampling": "4:4:4"}, True),
        ("RGB", {"subsampling": "4:2:2"}, True),
        ("RGB", {"subsampling": "4:2:0"}, True),
        ("RGB", {"keep_rgb": True}, True),
        ("RGB", {"progressive": True}, False),
        ("RGB", {"restart_marker_rows": 1}, True),
        ("L", {}, True),
        ("CMYK", {}, False),
    ],
)
def test_kinds_of_jpeg(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    options: dict,
    is_fast: bool,
    format: str,
) -> None:
    path = tmp_path / "a.jpg"
    picture(mode).save(path, quality=90, **options)
    with path.open("rb") as file, Image.open(file) as image:
        assert (decode_jpeg(image, file, format) is not None) == is_fast
    ours = read_image(path, format)
    assert_same(ours, by_pillow(path, monkeypatch, format), str(options))
    assert ours.flags.c_contiguous and ours.flags.writeable


@pytest.mark.parametrize(("orientation", "is_fast"), [(0, True), (1, True), (6, False), (9, True)])
def test_turned_jpegs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orientation: int, is_fast: bool
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    picture().save(path, exif=exif)
    with path.open("rb") as file, Image.open(file) as image:
        assert (decode_jpeg(image, file, "BGR") is not None) == is_fast
    assert_same(read_image(path), by_pillow(path, monkeypatch), str(orientation))


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
@pytest.mark.parametrize("ending", [b"", b"\xff\xd9", b"\xff\xd9garbage"])
def test_files_cut_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict, ending: bytes
) -> None:
    thumbnail = io.BytesIO()
    picture(size=(16, 16)).save(thumbnail, "JPEG")
    path = tmp_path / "a.jpg"
    # The comment holds the end of another picture, as the preview of a camera does.
    picture().save(path, comment=thumbnail.getvalue(), **options)
    whole = path.read_bytes()
    preview_end = whole.index(b"\xff\xd9") + 2
    assert preview_end < len(whole)
    for length in (preview_end, *range(2, len(whole), 97), len(whole) - 2, len(whole)):
        path.write_bytes(whole[:length] + ending)
        assert_same(outcome(path), by_pillow(path, monkeypatch), str(length))


def test_damaged_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    picture().save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(2, len(whole) - 2, 2):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        assert_same(outcome(path), by_pillow(path, monkeypatch), str(damaged == whole))
