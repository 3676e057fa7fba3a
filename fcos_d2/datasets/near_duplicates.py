"""Images that show almost the same: copies in another quality, neighbouring frames of a video."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from fcos_deploy.vision import ImageError, read_image
from fcos_deploy.vision.decoding import DECODE_ERRORS, open_picture

SIDE = 32  # px of the small grey pictures that are compared
BITS = 64  # of a hash
FAR = 10  # bits that hashes of near duplicates may differ in
LEVELS = 4  # grey levels between small pictures of copies, at most
CORRELATION = 0.9  # of what two pictures show besides what all have in common
FEWEST = 20  # images that show what all have in common, such as the view of a fixed camera
BLOCK = 512  # rows of the comparison at a time


def near_duplicates(paths: Sequence[str | Path]) -> list[tuple[int, int]]:
    """Pairs of images that show almost the same, by their places in `paths`.

    Two images are taken for near duplicates if their perceptual hashes differ in FAR bits at most,
    and either their small pictures are the same but for LEVELS, or what they show besides what all
    images have in common is alike. Images that cannot be read are in no pair.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes without Python's lock
        looked = [*pool.map(_small_and_hash, paths)]
    readable = [i for i, look in enumerate(looked) if look is not None]
    if len(readable) < 2:
        return []
    looks = [look for look in looked if look is not None]
    small = np.stack([picture for picture, _ in looks]).reshape(len(looks), -1)  # (N, SIDE²)
    hashes = np.stack([bits for _, bits in looks]).astype(np.float32) * 2 - 1  # (N, BITS)
    own = _unit_vectors(small)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(small), BLOCK):
        rows = slice(start, start + BLOCK)
        close = hashes[rows] @ hashes.T >= BITS - 2 * FAR  # each bit that differs costs 2
        alike = close & (own[rows] @ own.T >= CORRELATION)
        for i, j in np.argwhere(np.triu(close, start + 1)):
            i += start
            if alike[i - start, j] or np.abs(small[i] - small[j]).max() <= LEVELS:
                pairs.append((readable[i], readable[j]))
    return pairs


def pairs_across(train: Sequence[str | Path], val: Sequence[str | Path]) -> list[tuple[str, str]]:
    """Paths of images to learn from with those of near duplicates to evaluate on."""
    paths = [str(path) for path in (*train, *val)]
    pairs = near_duplicates(paths)
    return [(paths[i], paths[j]) for i, j in pairs if i < len(train) <= j and paths[i] != paths[j]]


def groups_of(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Numbers from 0 in groups that pairs join, also by way of others; by their first ones."""
    first = list(range(count))

    def root(i: int) -> int:
        while first[i] != i:
            first[i] = i = first[first[i]]
        return i

    for i, j in pairs:
        a, b = sorted((root(i), root(j)))
        first[b] = a
    groups: dict[int, list[int]] = {}
    for i in range(count):
        groups.setdefault(root(i), []).append(i)
    return [*groups.values()]


def small_grey(path: str | Path) -> "Image.Image | None":
    """The picture in grey, (SIDE, SIDE) px; None for one that is unreadable."""
    try:
        with open(path, "rb") as file, open_picture(file) as image:
            if image.mode.startswith(("I", "F")):  # more than 8 bits, which the reader scales
                image = Image.fromarray(read_image(path))
            image.draft("L", (4 * SIDE, 4 * SIDE))  # JPEG comes out small, and much sooner
            return image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    except (*DECODE_ERRORS, ImageError):
        return None


def _small_and_hash(path: str | Path) -> tuple[np.ndarray, np.ndarray] | None:
    """The small grey picture (SIDE, SIDE) and the bits (BITS,); None for one that is unreadable."""
    from imagehash import dhash  # here, because few commands need it

    small = small_grey(path)
    if small is None:
        return None
    bits = dhash(small, hash_size=int(BITS**0.5)).hash.reshape(-1)
    return np.asarray(small, dtype=np.float32), bits


def _unit_vectors(small: np.ndarray) -> np.ndarray:
    """What each picture shows besides what all have in common, as vectors of length 1 (N, SIDE²).

    Without anything of its own the vector is 0.
    """
    if len(small) >= FEWEST:
        small = small - np.median(small, axis=0)
    small = small - small.mean(axis=1, keepdims=True)
    length = np.linalg.norm(small, axis=1, keepdims=True)
    return np.where(length > SIDE, small / np.maximum(length, 1), 0)  # a grey level for each px
