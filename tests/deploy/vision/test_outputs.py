from pathlib import Path

import cv2
import numpy as np
import pytest

from fcos_deploy.vision.outputs import image_targets, video_target, write_image


def names(targets: list[Path], folder: Path) -> list[str]:
    return [str(target.relative_to(folder)) for target in targets]


def test_one_image_and_an_image_name(tmp_path: Path) -> None:
    target = tmp_path / "new" / "drawn.PNG"

    assert image_targets([Path("a.gif")], target) == [target]
    assert target.parent.is_dir() and not target.exists()


def test_folder_keeps_names_and_adds_extensions(tmp_path: Path) -> None:
    paths = [Path("x") / n for n in ("a.png", "B.JPG", "c d.gif", "图像.avif", "none", "v1.2")]
    folder = tmp_path / "run_0.5"

    assert names(image_targets(paths, folder), folder) == [
        "a.png",
        "B.JPG",
        "c d.gif.jpg",
        "图像.avif.jpg",
        "none.jpg",
        "v1.2.jpg",
    ]
    assert folder.is_dir()


def test_images_of_one_name_get_files_of_their_own(tmp_path: Path) -> None:
    paths = [Path(p) for p in ("x/a.png", "y/a.png", "a-2.png", "z/a.png", "b.gif", "b.gif.jpg")]

    assert names(image_targets(paths, tmp_path), tmp_path) == [
        "a.png",
        "a-2.png",
        "a-2-2.png",
        "a-3.png",
        "b.gif.jpg",
        "b.gif-2.jpg",
    ]


def test_a_folder_that_is_named_like_an_image(tmp_path: Path) -> None:
    (tmp_path / "out.jpg").mkdir()

    assert image_targets([Path("a.png")], tmp_path / "out.jpg") == [tmp_path / "out.jpg" / "a.png"]


def test_wrong_image_outputs(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    two = [tmp_path / "a.png", tmp_path / "b.png"]

    with pytest.raises(ValueError, match="out.jpg: 2 images need a folder"):
        image_targets(two, tmp_path / "out.jpg")
    with pytest.raises(ValueError, match="out.gif: images are written as .bmp, .jpeg"):
        image_targets(two[:1], tmp_path / "out.gif")
    with pytest.raises(ValueError, match="would overwrite the input .*a.png"):
        image_targets(two, tmp_path / "new" / "..")
    with pytest.raises(FileExistsError, match="file"):
        (tmp_path / "file").touch()
        image_targets(two, tmp_path / "file")


def test_video_targets(tmp_path: Path) -> None:
    assert video_target("in/street.v2.avi", tmp_path / "d") == tmp_path / "d" / "street.v2.mp4"
    assert video_target("in/street.avi", tmp_path / "n" / "x.mp4") == tmp_path / "n" / "x.mp4"
    assert (tmp_path / "d").is_dir() and (tmp_path / "n").is_dir()
    assert video_target(1, tmp_path) == tmp_path / "camera1.mp4"


def test_wrong_video_outputs(tmp_path: Path) -> None:
    for name in ("x.avi", "x.jpg"):
        with pytest.raises(ValueError, match=f"{name}: videos are written as .mp4"):
            video_target("a.mp4", tmp_path / name)
    with pytest.raises(ValueError, match="would overwrite the input .*a.mp4"):
        video_target(tmp_path / "a.mp4", tmp_path)


@pytest.mark.parametrize("name", ["ünïcode 图像.png", "UPPER.BMP", "a.webp"])
def test_write_image(tmp_path: Path, name: str) -> None:
    image = np.full((5, 7, 3), (10, 100, 200), np.uint8)
    write_image(tmp_path / name, image)

    stored = cv2.imdecode(np.fromfile(tmp_path / name, np.uint8), cv2.IMREAD_COLOR)
    assert stored.shape == image.shape
    assert np.abs(stored.astype(int) - image).max() < 8


def test_write_image_names_what_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="long.webp: OpenCV cannot write 17000x1 px in this"):
        write_image(tmp_path / "long.webp", np.zeros((1, 17000, 3), np.uint8))
    with pytest.raises(OSError, match="a.name: OpenCV cannot write 1x1 px in this"):
        write_image(tmp_path / "a.name", np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(OSError, match="missing"):
        write_image(tmp_path / "missing" / "a.png", np.zeros((1, 1, 3), np.uint8))
