"""Decodes every image once, in parallel, and reports what is odd about it."""

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

from tqdm import tqdm

from fcos_deploy.vision import DECODE_ERRORS, ORIENTATION_TAG, ImageError, open_picture, read_image

from ..near_duplicates import pairs_across
from ..problems import Place, Problem

# What Pillow calls images that are not 8-bit gray or colour, and what the reader makes of them.
_MODES = {
    "I;16": "16-bit gray",
    "I;16B": "16-bit gray",
    "I": "16- or 32-bit gray",
    "F": "float gray",
    "CMYK": "CMYK",
    "P": "palette",
    "1": "black and white",
    "LA": "gray with transparency",
    "RGBA": "with transparency",
}


def check_images(
    records: list[dict], images: str | Path, workers: int | None = None, progress: bool = True
) -> tuple[list[Problem], set[int]]:
    """Reads all images as training does.

    Args:
        records: COCO images, with file_name, height, width and id.
        images: folder of the files.
        workers: processes; None for one per core.
        progress: show a bar.

    Returns:
        The problems, and the ids of the images that cannot be read.

    Raises:
        ValueError: a process was killed.
    """
    check = partial(_check, Path(images))
    problems: list[Problem] = []
    unreadable: set[int] = set()
    by_content: dict[bytes, str] = {}
    try:
        # Not multiprocessing.Pool, which waits for ever for the results of a killed process.
        with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
            results: Iterable = pool.map(check, records, chunksize=16)
            bar = tqdm(results, total=len(records), desc="images", disable=not progress)
            for record, (found, digest) in zip(records, bar, strict=True):
                problems += found
                name = record["file_name"]
                if digest is None:
                    unreadable.add(record["id"])
                elif (first := by_content.setdefault(digest, name)) != name:
                    kind, place = "two files of the same content", Place(image=name)
                    problems.append(Problem("warning", kind, f"the same as {first}", place=place))
    except BrokenProcessPool:
        raise ValueError(
            f"{images}: a process that decodes images was killed, most likely for lack of memory; "
            "use fewer with --workers, or --no-images"
        ) from None
    return problems, unreadable


def shared_content(
    train: list[dict], train_images: str | Path, val: list[dict], val_images: str | Path
) -> list[Problem]:
    """Images of two sets whose files are the same file, or have the same bytes.

    Args:
        train, val: COCO images.
        train_images, val_images: folders of their files; a missing file is no shared one.
    """
    by_size: dict[int, list[str]] = {}
    names = _paths(train, train_images)
    for path in names:
        by_size.setdefault(os.path.getsize(path), []).append(path)
    digests: dict[int, dict[bytes, str]] = {}  # size -> content -> file; most sizes occur once
    problems = []
    for path in _paths(val, val_images):
        size = os.path.getsize(path)
        if size not in by_size:
            continue
        if size not in digests:
            digests[size] = {_digest(other): other for other in by_size[size]}
        same = digests[size].get(_digest(path))
        if same is not None:
            text = f"is {path} of validation" if not os.path.samefile(path, same) else ""
            kind, place = "image in training and validation", Place(image=names[same])
            problems.append(Problem("error", kind, text, place=place))
    return problems


def shared_looks(
    train: list[dict], train_images: str | Path, val: list[dict], val_images: str | Path
) -> tuple[list[Problem], dict[str, str]]:
    """Images of two sets that look nearly the same, though they are not the same file.

    Args:
        train, val, train_images, val_images: as in `shared_content`.

    Returns:
        The problems, and for the name of an image of training the path of the one of validation.
    """
    names, others = _paths(train, train_images), _paths(val, val_images)
    problems, partners = [], {}
    for path, other in pairs_across([*names], [*others]):
        if _digest(path) != _digest(other):
            partners[names[path]] = other
            text, place = f"looks like {other} of validation", Place(image=names[path])
            kind = "near duplicate in training and validation"
            problems.append(Problem("warning", kind, text, place=place))
    return problems, partners


def _paths(records: list[dict], folder: str | Path) -> dict[str, str]:
    """The file names of images by where they are, without those that are not there."""
    names = {os.path.join(folder, x["file_name"]): x["file_name"] for x in records}
    return {path: name for path, name in names.items() if os.path.isfile(path)}


def _digest(path: str | Path) -> bytes:
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).digest()


def _check(folder: Path, record: dict) -> tuple[list[Problem], bytes | None]:
    """Problems of one image, and the hash of its file; no hash for one that cannot be read."""
    path, place = folder / record["file_name"], Place(image=record["file_name"])
    try:
        height, width = read_image(path).shape[:2]
    except ImageError as error:
        return [Problem("error", "image unreadable", str(error), "left out", place)], None
    problems: list[Problem] = []
    if (height, width) != (record["height"], record["width"]):
        stated = record["height"], record["width"]
        text = f"{stated} stated, {(height, width)} found"
        problems.append(Problem("error", "image of another size than stated", text, place=place))
    problems += [
        Problem("note", f"image {kind}", "", "read as the eye sees it", place)
        for kind in _oddities(path)
    ]
    return problems, _digest(path)


def _oddities(path: Path) -> list[str]:
    with open(path, "rb") as file, open_picture(file) as image:
        kinds = [_MODES[image.mode]] if image.mode in _MODES else []
        # What the file holds before Pillow cuts it to 8 bits; not every format tells.
        stored = [tile[3] if isinstance(tile[3], str) else tile[3][:1] for tile in image.tile]
        if image.mode.startswith("RGB") and any(";16" in str(raw) for raw in stored):
            kinds.append("16-bit colour")
        try:
            orientation = image.getexif().get(ORIENTATION_TAG)
        except DECODE_ERRORS:
            orientation = None
        if orientation in range(2, 9):
            kinds.append("turned by its EXIF tag")
    return kinds
