"""Folders with COCO json: of COCO itself, Roboflow, CVAT, Label Studio and FiftyOne."""

import json
import re
from pathlib import Path

from ..formats.content import content_of, holds
from ..own_data import DataFiles
from .tree import Reading, Tree, refuse_several, sample, without_ending

KEYS = (b'"images"', b'"annotations"', b'"categories"')
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*"((?:[^"\\]|\\.)*)"')
# What COCO puts beside instances_train2017.json about the same images.
_BESIDE_INSTANCES = ("person_keypoints", "captions", "stuff", "panoptic", "image_info")


def find_coco(tree: Tree) -> Reading | None:
    """COCO json files with their images, by split.

    Raises:
        ValueError: several files for one split, or one without any of its images.
    """
    given = [path for path in tree.with_suffix(".json") if holds(path, KEYS)]
    files = [path for path in given if not _is_beside_instances(path, given)]
    if not files:
        return None
    by_split: dict[str | None, list[Path]] = {}
    for path in files:
        by_split.setdefault(tree.split_of(path), []).append(path)
    folders, images = {}, {}
    for path in files:
        names = _image_names(path)
        folders[path] = _images(tree, path, names)
        images[path] = without_ending(Path(folders[path], name) for name in names)
    unnamed, lines = by_split.pop(None, []), []
    known = frozenset[str]().union(*(images[x] for paths in by_split.values() for x in paths))
    for path in [*unnamed] if by_split else ():
        if known <= images[path]:
            lines.append(f"{tree.relative(path)} contains these sets, and is not read")
            unnamed.remove(path)
    if unnamed:
        by_split.setdefault("train", []).extend(unnamed)
    for paths in by_split.values():
        if len(paths) > 1:
            refuse_several(tree, paths, "COCO files")
    chosen = {split: paths[0] for split, paths in by_split.items() if split is not None}
    splits = {x: DataFiles(str(path), str(folders[path])) for x, path in chosen.items()}
    images_of = {split: images[path] for split, path in chosen.items()}
    return Reading("coco", _layout(next(iter(chosen.values()))), splits, images_of, lines)


def _image_names(path: Path) -> list[str]:
    """The file names in a COCO file, in its order."""
    with content_of(path) as content:
        found = [match[1] for match in _FILE_NAME.finditer(content)]
    names = []
    for text in found:
        try:
            names.append(json.loads(b'"' + text + b'"'))
        except ValueError:  # the reader will say what is wrong with the file
            continue
    return names


def _is_beside_instances(path: Path, files: list[Path]) -> bool:
    """Whether it is about the images of an instances_*.json, with something else than boxes."""
    for prefix in _BESIDE_INSTANCES:
        if path.name.startswith(f"{prefix}_"):
            rest = path.name.removeprefix(prefix)
            return path.with_name(f"instances{rest}") in files
    return False


def _images(tree: Tree, path: Path, names: list[str]) -> Path:
    folder = tree.folder_of(sample(names), path)
    if folder is None and names and not Path(names[0]).is_file():
        raise ValueError(
            f"{path}: none of its images, such as {names[0]!r}, is in {tree.root}; name their "
            "folder with --train-data FILE --train-images DIR"
        )
    return folder or path.parent


def _layout(path: Path) -> str:
    if path.name == "_annotations.coco.json":
        return "Roboflow's COCO export"
    if path.name == "labels.json" and (path.parent / "data").is_dir():
        return "FiftyOne's COCO layout"
    if path.name == "result.json" and (path.parent / "images").is_dir():
        return "Label Studio's COCO export"
    if path.name.startswith("instances_") and path.parent.name == "annotations":
        return "COCO's layout, which CVAT writes, too"
    return "COCO json"
