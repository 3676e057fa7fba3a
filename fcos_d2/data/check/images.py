"""Decoding every image once, in processes, and saying what is odd about it."""

import hashlib
import multiprocessing
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from ..image import DECODE_ERRORS, ORIENTATION_TAG, ImageError, read_image
from ..problems import Problem

# What Pillow calls images that are not 8-bit gray or colour, and what the reader makes of them.
_MODES = {
    "I;16": "16-bit gray",
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
    """Reads all images as training would.

    Args:
        records: COCO images, with file_name, height, width and id.
        images: folder of the files.
        workers: processes; None for one per core.
        progress: show a bar.

    Returns:
        The problems, and the ids of the images that cannot be read.
    """
    workers = workers or os.cpu_count() or 1
    check = partial(_check, Path(images))
    problems, unreadable, by_content = [], set(), {}
    with multiprocessing.Pool(workers) as pool:
        results: Iterable = pool.imap(check, records, chunksize=16)
        for record, (found, digest) in zip(
            records,
            tqdm(results, total=len(records), desc="images", disable=not progress),
            strict=True,
        ):
            problems += found
            if digest is None:
                unreadable.add(record["id"])
            elif (first := by_content.setdefault(digest, record["file_name"])) != record[
                "file_name"
            ]:
                text = f"{record['file_name']} and {first}"
                problems.append(Problem("warning", "two files of the same content", text))
    return problems, unreadable


def _check(folder: Path, record: dict) -> tuple[list[Problem], bytes | None]:
    """Problems of one image, and the hash of its file; no hash for one that cannot be read."""
    path, name = folder / record["file_name"], record["file_name"]
    try:
        height, width = read_image(path).shape[:2]
    except ImageError as error:
        return [Problem("error", "image unreadable", str(error), "left out")], None
    problems = []
    if (height, width) != (record["height"], record["width"]):
        stated = record["height"], record["width"]
        text = f"{name}: {stated} stated, {(height, width)} found"
        problems.append(Problem("error", "image of another size than stated", text))
    for kind in _oddities(path):
        problems.append(Problem("note", f"image {kind}", name, "read as the eye sees it"))
    return problems, hashlib.blake2b(path.read_bytes(), digest_size=16).digest()


def _oddities(path: Path) -> list[str]:
    with Image.open(path) as image:
        kinds = [_MODES[image.mode]] if image.mode in _MODES else []
        try:
            orientation = image.getexif().get(ORIENTATION_TAG)
        except DECODE_ERRORS:
            orientation = None
        if orientation in range(2, 9):
            kinds.append("turned by its EXIF tag")
    return kinds
