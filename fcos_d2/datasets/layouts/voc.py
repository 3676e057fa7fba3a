"""Folders with Pascal VOC xml: a devkit, or xml files beside or apart from their images."""

import html
import os
import re
from collections.abc import Iterable
from pathlib import Path

from fcos_deploy.files import last_part
from fcos_deploy.text import read_lines

from ..formats.voc_folders import is_xml, voc_images, voc_lists, voc_stems, voc_years, xml_file
from ..own_data import DataFiles
from ..split_words import SPLIT_WORDS
from .tree import Reading, Tree, refuse_several, sample, without_ending

_ROOT = re.compile(rb"<\s*annotation[\s>]")
_FILE_NAME = re.compile(rb"<filename>\s*([^<]*?)\s*</filename>")
_LIST_WORDS = {**SPLIT_WORDS, "trainval": "trainval"}
_KIND = "folders of VOC xml"


def find_voc(tree: Tree) -> Reading | None:
    """VOC folders or loose xml files, by split.

    Raises:
        ValueError: several folders for one split.
    """
    xml = [path for path in tree.files if is_xml(path) and _is_annotation(path)]
    if not xml:
        return None
    devkits = {path: root for path in xml if (root := _devkit(path, tree.root))}
    if not devkits:
        return _find_loose(tree, xml)
    by_split: dict[str | None, list[Path]] = {}
    for root in sorted({*devkits.values()}):
        by_split.setdefault(tree.split_of(root), []).append(root)
    if None in by_split or len(by_split) == 1:
        reading = _with_lists(tree, sorted({*devkits.values()}), [*devkits])
    else:
        named = {split: roots for split, roots in by_split.items() if split}
        splits = {split: _files(tree, roots) for split, roots in named.items()}
        images = {split: _union(map(_paths, roots)) for split, roots in named.items()}
        reading = Reading("voc", "Pascal VOC", splits, images, [])
    if loose := [path for path in xml if path not in devkits]:
        such = f"{len(loose)} xml files outside of Annotations, such as {tree.relative(loose[0])}"
        reading.lines.append(f"{such}: not read")
    return reading


def _paths(root: Path, word: str | None = None) -> frozenset[str]:
    """Of a devkit or of one of its lists; in its own words, which tell images apart."""
    return without_ending(f"{root / stem}.xml" for stem in voc_stems(root, word))


def _union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*sets)


def _head(path: str | Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1000)
    except OSError:
        return b"?"


def _is_annotation(path: Path) -> bool:
    head = _head(path).replace(b"\0", b"")  # of UTF-16
    return bool(_ROOT.search(head)) and b"<imagesize>" not in head  # which is LabelMe's


def _devkit(path: Path, root: Path) -> Path | None:
    """The folder above the Annotations that an xml file lies in."""
    inside = (x for x in path.parents if x == root or x.is_relative_to(root))
    return next((folder.parent for folder in inside if folder.name == "Annotations"), None)


def _with_lists(tree: Tree, years: list[Path], xml: list[Path]) -> Reading:
    """The splits that lists name; without any, those that folders in Annotations name."""
    layout = "Pascal VOC devkit" if len(years) == 1 else f"Pascal VOC devkit, {len(years)} years"
    there = {year: _paths(year) for year in years}
    lists: dict[str, frozenset[str]] = {}
    lines = []
    for year in years:
        for word, path in voc_lists(year).items():
            if word.lower() not in _LIST_WORDS:
                continue
            stems = _paths(year, word) if read_lines(path) else frozenset()
            if stems & there[year]:
                lists[word] = lists.get(word, frozenset()) | stems
            elif stems:
                lines.append(f"{tree.relative(path)} names images without annotations: not read")
    # CVAT writes the name of a list as people have typed it.
    words = {_LIST_WORDS[word.lower()]: word for word in reversed(lists)}
    if trainval := words.pop("trainval", ""):
        words.setdefault("train", trainval)
    everything = _union(there.values())
    if words:
        splits = {split: _files(tree, years, word) for split, word in words.items()}
        if rest := everything - _union(lists[word] for word in words.values()):
            used = " and ".join(sorted(words.values()))
            lines.append(f"annotated images in none of the lists {used}, not read: {len(rest)}")
        return Reading("voc", layout, splits, {x: lists[word] for x, word in words.items()}, lines)
    named = {tree.split_of(path.parent) for path in xml}
    if None not in named and len(named) > 1:
        reading = _find_loose(tree, xml)
        return reading._replace(lines=[*lines, *reading.lines])
    if len({tree.split_of(year) for year in years}) > 1:  # VOC2007 and test
        refuse_several(tree, years, _KIND)
    lines += _lists_elsewhere(tree, years)
    return Reading("voc", layout, {"train": _files(tree, years)}, {"train": everything}, lines)


def _lists_elsewhere(tree: Tree, roots: list[Path]) -> list[str]:
    """A line about lists of splits that lie where none is looked for."""
    looked_at = {path for root in roots for path in voc_lists(root).values()}
    lists = (path for path in tree.with_suffix(".txt") if path.stem.lower() in _LIST_WORDS)
    other = [tree.relative(path) for path in lists if path not in looked_at]
    cure = "lists of splits are read from ImageSets/Main beside Annotations"
    return [f"{', '.join(other[:3])}: not read; {cure}"] if other else []


def _files(tree: Tree, years: list[Path], word: str | None = None) -> DataFiles:
    """The data of a devkit, with the folder of its images where it is not the usual one."""
    root, several = years[0], len(years) > 1
    if several:
        root = root.parent
        if voc_years(root) != years:
            refuse_several(tree, years, _KIND)
    data = f"{root}:{word}" if word else str(root)
    if several or voc_images(root).name == "JPEGImages":
        return DataFiles(data)
    annotations = root / "Annotations"
    files = [path for path in tree.files if is_xml(path) and path.is_relative_to(annotations)]
    return DataFiles(data, str(_images_of(tree, annotations, files) or voc_images(root)))


def _images_of(tree: Tree, folder: Path, files: list[Path]) -> Path | None:
    """The folder of the images of xml files in `folder`; of those in folders in it, with these.

    Raises:
        ValueError: several such folders.
    """
    inside: dict[Path, list[Path]] = {}
    for path in files:
        inside.setdefault(path.parent, []).append(path)
    found = set()
    for parent, paths in inside.items():
        near, some = parent / "a.xml", [*map(Path, sample([str(path) for path in paths]))]
        where = tree.folder_of_stems([path.stem for path in some], near)
        if where != parent:  # masks may have these stems, too
            named = tree.folder_of([_file_name(path) for path in some], near)
            if named and (not where or any(tree.has_image(named / x.stem) for x in some)):
                where = named
        if where is not None:
            depth = len(parent.relative_to(folder).parts)
            alike = depth and where.parts[-depth:] == parent.parts[-depth:]
            found.add(where.parents[depth - 1] if alike else where)
    if len(found) > 1:
        refuse_several(tree, [*inside], _KIND)
    return found.pop() if found else None


def _file_name(path: Path) -> str:
    """What an xml file calls its image; "" for nothing."""
    match = _FILE_NAME.search(_head(path))
    return last_part(html.unescape(match[1].decode("utf-8", "replace"))) if match else ""


def _find_loose(tree: Tree, xml: list[Path]) -> Reading:
    """Xml files of no devkit, such as train/a.xml beside train/a.jpg, also in deeper folders."""
    by_split: dict[str | None, list[Path]] = {}
    for path in xml:
        by_split.setdefault(tree.split_of(path.parent), []).append(path)
    if "train" not in by_split and None in by_split:
        by_split["train"] = by_split.pop(None)
    splits, images = {}, {}
    for split, files in by_split.items():
        if split is None:
            refuse_several(tree, _parents([*by_split["train"], *files]), _KIND)
        folder = Path(os.path.commonpath([path.parent for path in files]))
        read = {xml_file(folder, stem) for stem in voc_stems(folder)}
        if not read.issuperset(files) or read & ({*xml} - {*files}):
            folders = " and ".join(map(tree.relative, _parents(files)[:3]))
            raise ValueError(
                f"{tree.root}: the VOC xml of {split} lies in folders that are not read as one, "
                f"{folders}; put these into a folder {split}, side by side and without others, or "
                "name one of them with --train-data"
            )
        where = _images_of(tree, folder, files) or folder
        own = (tree.has_image(where / x.relative_to(folder).with_suffix("")) for x in files)
        if len({path.stem for path in files}) < len(files) and not all(own):
            refuse_several(tree, _parents(files), _KIND)  # such as a copy of the other
        splits[split] = DataFiles(str(folder), str(where))
        images[split] = without_ending(files)
    lines = _lists_elsewhere(tree, []) if len(splits) == 1 else []
    return Reading("voc", "Pascal VOC xml", splits, images, lines)


def _parents(files: list[Path]) -> list[Path]:
    return sorted({path.parent for path in files})
