"""Names for drawn images and videos, and writing the images."""

from itertools import count
from pathlib import Path

import cv2
import numpy as np

from ..writing import remove_leftovers, write_bytes
from .listing import image_extensions

# OpenCV writes these in every build, and every viewer opens them.
WRITTEN_IMAGES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
VIDEO_EXTENSIONS = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"}


def image_targets(paths: list[Path], output: Path) -> list[Path]:
    """The file for each drawn image; makes the folder.

    An `output` with the extension of an image is a file for one image, any other is a folder.
    In a folder the images keep their names; if a format cannot be written, `.jpg` is added,
    and images of the same name from several folders become a.jpg, a-2.jpg, ...

    Args:
        paths: the images that are read.
        output: file or folder.

    Returns:
        one path per image.

    Raises:
        ValueError: if more than one image would go to one file, the format cannot be written, or an
            input would be overwritten.
        OSError: if the folder cannot be made.
    """
    if _is_file_name(output):
        if len(paths) > 1:
            raise ValueError(f"output {output}: {len(paths)} images need a folder, not a file")
        if output.suffix.lower() not in WRITTEN_IMAGES:
            legal = ", ".join(sorted(WRITTEN_IMAGES))
            raise ValueError(f"output {output}: images are written as {legal}")
        output.parent.mkdir(parents=True, exist_ok=True)
        targets = [output]
    else:
        output.mkdir(parents=True, exist_ok=True)
        targets = _own_names(paths, output)
    _refuse_overwriting(targets, paths)
    remove_leftovers(targets[0].parent if targets else output)
    return targets


def video_target(source: str | Path | int, output: Path) -> Path:
    """The file for a drawn video; makes its folder.

    Args:
        source: video file, or index of a camera.
        output: a name with the extension of a video, or a folder for `<name of the source>.mp4`.

    Raises:
        ValueError: if `output` is a file of another kind, or the source would be overwritten.
        OSError: if the folder cannot be made.
    """
    name = f"camera{source}" if isinstance(source, int) else Path(source).stem
    target = output if _is_file_name(output) else output / f"{name}.mp4"
    if target.suffix.lower() != ".mp4":
        raise ValueError(f"output {output}: videos are written as .mp4")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(source, int):
        _refuse_overwriting([target], [Path(source)])
    remove_leftovers(target.parent)
    return target


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a uint8 BGR (H, W, 3) image in the format that the extension names.

    Raises:
        OSError: if it cannot be written; names the file.
    """
    # Not `cv2.imwrite`: some builds cannot take every letter in a name, or miss a full disk.
    try:
        encoded, content = cv2.imencode(path.suffix.lower(), image)
    except cv2.error:
        encoded = False
    if not encoded:
        height, width = image.shape[:2]
        raise OSError(f"{path}: OpenCV cannot write {width}x{height} px in this format")
    write_bytes(path, content.tobytes(), durable=False)


def _is_file_name(output: Path) -> bool:
    # A folder may have a dot in its name, such as "run_0.5".
    return output.suffix.lower() in image_extensions() | VIDEO_EXTENSIONS and not output.is_dir()


def _own_names(paths: list[Path], folder: Path) -> list[Path]:
    targets: dict[Path, None] = {}  # a dict finds names fast and keeps the order
    for path in paths:
        name = path if path.suffix.lower() in WRITTEN_IMAGES else Path(f"{path}.jpg")
        endings = ("" if n == 1 else f"-{n}" for n in count(1))
        names = (folder / f"{name.stem}{ending}{name.suffix}" for ending in endings)
        targets[next(target for target in names if target not in targets)] = None
    return list(targets)


def _refuse_overwriting(targets: list[Path], inputs: list[Path]) -> None:
    resolved = {target.resolve() for target in targets}
    for path in inputs:
        if path.resolve() in resolved:
            raise ValueError(f"the output would overwrite the input {path}: name another place")
