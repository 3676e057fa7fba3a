"""Folders with COCO json: of COCO itself, Roboflow, CVAT, Label Studio and FiftyOne."""

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

from fcos_deploy.text import read_json

from ..formats.content import content_of, holds
from ..own_data import DataFiles
from .tree import Reading, Tree, listed, refuse_several, sample, without_ending

KEYS = (b'"images"', b'"annotations"', b'"categories"')
_KIND = "COCO files"
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*"((?:[^"\\]|\\.)*)"')
# What COCO puts beside instances_train2017.json about the same images.
_BESIDE_INSTANCES = ("person_keypoints", "captions", "stuff", "panoptic", "image_info")


def find_coco(tree: Tree) -> Reading | None:
    """COCO json files with their images, by split.

    Raises:
        ValueError: several files for one split, or none to learn from with images that are there.
    """
    given = [path for path in tree.with_suffix(".json") if holds(path, KEYS)]
    files = [path for path in given if not _is_beside_instances(path, given)]
    if not files:
        return None
    names = {path: _image_names(path) for path in files}
    lines: list[str] = []
    folders = {x: folder for x in files if (folder := _folder(tree, x, names[x], lines))}
    if not any(names.values()):  # the reader says what is wrong with them
        folders = {path: path.parent for path in files}
    by_split: dict[str, list[Path]] = {}
    unnamed: list[Path] = []
    for path in folders:
        split = tree.split_of(path)
        (by_split.setdefault(split, []) if split else unnamed).append(path)
    lacking = [path for path in files if path not in folders]
    if lacking and not unnamed and "train" not in by_split and len(by_split) != 1:
        cause = next((path for path in lacking if names[path]), lacking[0])
        raise ValueError(f"{cause}: {_lack(tree, names[cause])}")
    lines += [f"{tree.relative(x)}: {_lack(tree, names[x])}; passed over" for x in lacking]
    images = {x: without_ending(Path(folders[x], name) for name in names[x]) for x in folders}
    parts = {"train", "val"} if {"train", "val"} <= by_split.keys() else {*by_split}
    known = frozenset[str]().union(*(images[x] for part in parts for x in by_split[part]))
    for path in [*unnamed] if by_split else ():
        if known <= images[path]:
            if "train" not in by_split:  # what is to be learned would be lost
                refuse_several(tree, [path, *(x for part in parts for x in by_split[part])], _KIND)
            contained = " and ".join(part for part in by_split if part in parts)
            lines.append(f"{tree.relative(path)} contains {contained}, and is not read")
            unnamed.remove(path)
    if unnamed:
        by_split.setdefault("train", []).extend(unnamed)
    chosen = {x: _one_of(tree, paths, images, lines) for x, paths in by_split.items()}
    splits = {x: DataFiles(str(path), str(folders[path])) for x, path in chosen.items()}
    images_of = {split: images[path] for split, path in chosen.items()}
    return Reading("coco", _layout(next(iter(chosen.values()))), splits, images_of, lines)


def _one_of(
    tree: Tree, paths: list[Path], images: dict[Path, frozenset[str]], lines: list[str]
) -> Path:
    """The file of a split, without copies of it, and without one whose images are not all there."""
    first, *rest = paths
    copies = [x for x in rest if images[x] == images[first] and _is_copy(x, first)]
    if copies:
        lines.append(f"{listed(tree, copies)}: the same as {tree.relative(first)}; passed over")
        paths = [path for path in paths if path not in copies]
    if len(paths) == 1:
        return paths[0]
    there = without_ending(tree.images_below(tree.root))
    whole = [path for path in paths if images[path] <= there]
    if len(whole) != 1 or any(images[path] & there != images[whole[0]] for path in paths):
        refuse_several(tree, paths, _KIND)
    partly = [path for path in paths if path != whole[0]]
    lines.append(
        f"{listed(tree, partly)}: some of the images are missing; {tree.relative(whole[0])}, which "
        "has those that are there, is taken"
    )
    return whole[0]


def _is_copy(path: Path, other: Path) -> bool:
    """Whether two files say the same of the same images."""
    one: Any = read_json(path)
    two: Any = read_json(other)
    keys = ("images", "annotations", "categories")
    both = isinstance(one, dict) and isinstance(two, dict)
    return both and all(one.get(key) == two.get(key) for key in keys)


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


def _folder(tree: Tree, path: Path, names: list[str], lines: list[str]) -> Path | None:
    """The folder that the names are relative to; None where none of the images is there."""
    some = sample(names)
    places = [tree.folders_of(name) for name in some]
    folders = set[Path]().union(*places)
    bare = not any(re.search(r"[/\\]", name) for name in some)
    if bare and len(folders) > 1 and all(len(place) <= 1 for place in places):
        above = Path(os.path.commonpath(folders))
        lines.append(f"{tree.relative(path)}: its images are in {listed(tree, sorted(folders))}")
        return above
    found = tree.nearest(Counter(x for place in places for x in place), path)
    # Names with all of their path may lead out of the tree.
    return path.parent if found is None and names and Path(names[0]).is_file() else found


def _lack(tree: Tree, names: list[str]) -> str:
    """Why a file cannot be learned from, and the cure."""
    if not names:
        return "no image is named in it"
    like = tree.image_like(names[0])
    cure = "name their folder with --train-data FILE --train-images DIR"
    if like:
        cure = f"there is {tree.relative(like)}: write the endings of the files into the names"
    return f"none of its images, such as {names[0]!r}, is in {tree.root}; {cure}"


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
