"""Folders with Pascal VOC xml: a devkit, or xml files beside or apart from their images."""

import re
from pathlib import Path

from fcos_deploy.text import read_lines

from ..formats.voc_folders import is_xml, voc_images, voc_stems, voc_years
from ..own_data import DataFiles
from .tree import SPLIT_WORDS, Reading, Tree, refuse_several, sample, without_ending

_ROOT = re.compile(rb"<\s*annotation[\s>]")


def find_voc(tree: Tree) -> Reading | None:
    """VOC folders or loose xml files, by split.

    Raises:
        ValueError: several folders for one split.
    """
    xml = [path for path in tree.files if is_xml(path) and _is_annotation(path)]
    if not xml:
        return None
    roots = sorted({root for path in xml if (root := _devkit(path, tree.root))})
    if not roots:
        return _find_loose(tree, xml)
    parent = roots[0].parent
    if len(roots) > 1 and all(root.parent == parent for root in roots) and voc_years(parent):
        return _with_lists(tree, parent, roots)
    if len(roots) == 1:
        return _with_lists(tree, roots[0], roots)
    by_split = {tree.split_of(root): root for root in roots}
    if len(by_split) < len(roots) or None in by_split:
        refuse_several(tree, roots, "folders of VOC xml")
    splits = {x: _files(tree, root, root / "Annotations") for x, root in by_split.items() if x}
    images = {x: _paths(by_split[x]) for x in splits}
    return Reading("voc", "Pascal VOC", splits, images, [])


def _paths(root: Path, word: str | None = None) -> frozenset[str]:
    """Of a devkit or of one of its lists; in its own words, which tell images apart."""
    return without_ending(f"{root / stem}.xml" for stem in voc_stems(root, word))


def _is_annotation(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            head = file.read(1000)
    except OSError:
        return False
    # What is empty, damaged or in UTF-16 is for the reader to name.
    return bool(_ROOT.search(head)) or not head.strip() or b"\0" in head


def _devkit(path: Path, root: Path) -> Path | None:
    """The folder above the Annotations that an xml file lies in."""
    inside = (x for x in path.parents if x == root or x.is_relative_to(root))
    return next((folder.parent for folder in inside if folder.name == "Annotations"), None)


def _with_lists(tree: Tree, root: Path, years: list[Path]) -> Reading:
    """The splits that the lists of ImageSets/Main name."""
    layout = "Pascal VOC devkit" if len(years) == 1 else f"Pascal VOC devkit, {len(years)} years"
    there = {year: _paths(year) for year in years}
    lists: dict[str, frozenset[str]] = {}
    lines = []
    for path in sorted(x for year in years for x in (year / "ImageSets" / "Main").glob("*.txt")):
        if path.stem not in (*SPLIT_WORDS, "trainval"):
            continue
        year = path.parents[2]
        stems = _paths(year, path.stem) if read_lines(path) else frozenset()
        if stems & there[year]:
            lists[path.stem] = lists.get(path.stem, frozenset()) | stems
        elif stems:
            lines.append(f"{tree.relative(path)} names images without annotations: not read")
    words = {SPLIT_WORDS[word]: word for word in lists if word in SPLIT_WORDS}
    if "train" not in words and "trainval" in lists:
        words["train"] = "trainval"
    if not words:
        files = _files(tree, root, years[0] / "Annotations")
        everything = frozenset[str]().union(*there.values())
        return Reading("voc", layout, {"train": files}, {"train": everything}, lines)
    splits = {x: _files(tree, root, years[0] / "Annotations", word) for x, word in words.items()}
    return Reading("voc", layout, splits, {x: lists[word] for x, word in words.items()}, lines)


def _files(tree: Tree, root: Path, annotations: Path, word: str | None = None) -> DataFiles:
    """The data of a devkit, with the folder of its images where it is not the usual one."""
    data = f"{root}:{word}" if word else str(root)
    if voc_years(root) or voc_images(root).name == "JPEGImages":
        return DataFiles(data)
    stems = sample([path.stem for path in sorted(annotations.rglob("*")) if is_xml(path)])
    return DataFiles(data, str(tree.folder_of_stems(stems, annotations) or voc_images(root)))


def _find_loose(tree: Tree, xml: list[Path]) -> Reading:
    """Xml files of no devkit, such as train/a.xml beside train/a.jpg."""
    folders: dict[Path, list[str]] = {}
    for path in xml:
        folders.setdefault(path.parent, []).append(path.stem)
    splits: dict[str, DataFiles] = {}
    images = {}
    for folder, stems in folders.items():
        split = (tree.split_of(folder) if len(folders) > 1 else None) or "train"
        if split in splits:
            refuse_several(tree, [Path(splits[split].data), folder], "folders of VOC xml")
        where = tree.folder_of_stems(sample(stems), folder / "a.xml")
        splits[split] = DataFiles(str(folder), str(where or folder))
        images[split] = frozenset(str(folder / stem) for stem in stems)
    return Reading("voc", "Pascal VOC xml", splits, images, [])
