import io
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from fcos_deploy.vision.decoding import FORMATS
from fcos_deploy.vision.image import ImageError, image_size, read_image

PIXELS = Image.fromarray(np.full((8, 12, 3), 200, np.uint8))


def saved(path: Path, format: str) -> Path:
    file = io.BytesIO()
    PIXELS.save(file, format)
    path.write_bytes(file.getvalue())
    return path


@pytest.mark.parametrize("format", ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"])
def test_the_bytes_decide(tmp_path: Path, format: str) -> None:
    path = saved(tmp_path / "picture.eps", format)
    assert format in FORMATS
    assert image_size(path) == (8, 12)
    assert read_image(path).mean() == pytest.approx(200, abs=2)


@pytest.mark.parametrize("format", ["EPS", "DDS", "IM"])
@pytest.mark.parametrize("name", ["picture.jpg", "picture.eps", "picture"])
def test_rare_formats_are_refused_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, name: str
) -> None:
    def start(*args: object, **kwargs: object) -> None:
        raise SystemExit("Ghostscript was started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", start)
    path = saved(tmp_path / name, format)
    for read in (image_size, read_image):
        with pytest.raises(ImageError) as error:
            read(path)
        if format == "IM":  # Pillow tells it by no first bytes
            assert str(error.value).startswith(f"{path}: not an image, or of a format that")
        else:
            wanted = f"{path}: a picture of the format {format}, which is not read; convert it"
            assert str(error.value).startswith(wanted)


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("eps_named.jpg", "EPS"),
        ("damaged_103.dds", "DDS"),
        ("damaged_106.blp", "BLP"),
        ("damaged_4.avif", None),
        ("damaged_73.avif", None),
    ],
)
def test_damaged_and_hostile_files(shared_dir: Path, name: str, format: str | None) -> None:
    path = shared_dir / "data/break_inputs" / name
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    with pytest.raises(ImageError, match=f"of the format {format}" if format else name) as error:
        read_image(path)
    assert "\n" not in str(error.value)
