"""Folders of labelme: a json file for each image, which lies beside it."""

from pathlib import Path

from ..formats.labelme import is_labelme
from ..own_data import DataFiles
from .tree import Reading, Tree, without_ending


def find_labelme(tree: Tree) -> Reading | None:
    """The json files by split, where folders are called after them; else all as one."""
    files = [path for path in tree.with_suffix(".json") if is_labelme(path)]
    if not files:
        return None
    folders = {path.parent for path in files}
    splits = {folder: tree.split_of(folder) for folder in folders}
    named = {split for split in splits.values() if split}
    if None in splits.values() or len(named) < len(folders):
        splits = dict.fromkeys([tree.root], "train")
    data, images = {}, {}
    for folder, split in splits.items():
        assert split is not None
        data[split] = DataFiles(str(folder), _images_beside(tree, folder, files))
        below = (path for path in files if path.is_relative_to(folder))
        images[split] = without_ending(below)
    return Reading("labelme", "labelme's json files", data, images, [])


def _images_beside(tree: Tree, folder: Path, files: list[Path]) -> str | None:
    """None where `imagePath` finds the images; else the folder that has those of these names."""
    below = [path for path in files if path.is_relative_to(folder)]
    if any(tree.has_image(path.with_suffix("")) for path in below):
        return None
    found = tree.folder_of_stems([path.stem for path in below], folder / "a.json")
    return str(found) if found else None
