"""Folders of labelme: a json file for each image, which lies beside it."""

import os
from pathlib import Path

from ..formats.labelme import is_labelme
from ..own_data import DataFiles
from .tree import Reading, SeveralMeant, Tree, without_ending


def find_labelme(tree: Tree) -> Reading | None:
    """The json files by split, where folders are called after them; else all as one.

    Raises:
        ValueError: files that are below a folder of a split, and others beside it.
    """
    files = [path for path in tree.with_suffix(".json") if is_labelme(path)]
    if not files:
        return None
    folders = _folders(tree, files)
    data, images = {}, {}
    for split, folder in folders.items():
        data[split] = DataFiles(str(folder), _images_beside(tree, folder, files))
        below = (path for path in files if path.is_relative_to(folder))
        images[split] = without_ending(below)
    return Reading("labelme", "labelme's json files", data, images, [])


def _folders(tree: Tree, files: list[Path]) -> dict[str, Path]:
    """The folder of each split, of which all is read."""
    named = {path: tree.split_of(path.parent) for path in files}
    words = sorted({split for split in named.values() if split})
    if not words:
        return {"train": tree.root}
    by_split: dict[str, list[Path]] = {}
    unnamed = "" if "train" in words else "train"
    for path, split in named.items():
        by_split.setdefault(split or unnamed, []).append(path.parent)
    folders = {split: Path(os.path.commonpath(parents)) for split, parents in by_split.items()}
    read = sum(path.is_relative_to(folder) for folder in folders.values() for path in files)
    if "" in folders or read > len(files):
        raise SeveralMeant(
            f"{tree.root}: labelme's json files in folders called {' and '.join(words)} are mixed "
            "with others; put each set below a folder of its own, or name one with --train-data"
        )
    return folders


def _images_beside(tree: Tree, folder: Path, files: list[Path]) -> str | None:
    """None where `imagePath` finds the images; else the folder that has those of these names."""
    below = [path for path in files if path.is_relative_to(folder)]
    if any(tree.has_image(path.with_suffix("")) for path in below):
        return None
    found = tree.folder_of_stems([path.stem for path in below], folder / "a.json")
    return str(found) if found else None
