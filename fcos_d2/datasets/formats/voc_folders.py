"""Where the files of a Pascal VOC folder lie, and which images its lists name."""

import os
import re
from pathlib import Path

from fcos_deploy.files import files_below, is_hidden, last_part
from fcos_deploy.text import read_lines

from .content import holds

# Where lists of images lie; of two of one name the first counts.
_LISTS = ("ImageSets/Main", "ImageSets", "ImageSets/Layout", ".")


def voc_years(root: Path) -> list[Path]:
    """The folders of VOC2007 and VOC2012 in a VOCdevkit; none in another folder."""
    if not root.is_dir() or (root / "Annotations").is_dir():
        return []
    years = sorted(path.parent for path in root.glob("*/Annotations") if path.is_dir())
    return years if len(years) > 1 else []


def years_with(years: list[Path], split: str | None) -> list[Path]:
    """Those that have the list; all where none has it, for the error that says so."""
    return [x for x in years if split is None or split in voc_lists(x)] or years


def annotations_of(root: Path) -> Path:
    """The folder that holds the xml files."""
    return root / "Annotations" if (root / "Annotations").is_dir() else root


def voc_lists(root: Path) -> dict[str, Path]:
    """The lists of images of a VOC folder, by name."""
    lists: dict[str, Path] = {}
    for place in _LISTS:
        for path in sorted((root / place).glob("*.txt")):
            if path.is_file() and not is_hidden(path.name):
                lists.setdefault(path.stem, path)
    return lists


def voc_images(root: Path) -> Path:
    """The folder that holds the images of a VOC folder, or of one of xml files."""
    usual = [root / name for name in ("JPEGImages", "Annotations") if (root / name).is_dir()]
    return usual[0] if usual else root


def voc_stems(root: Path, split: str | None = None) -> list[str]:
    """Names of the xml files of a VOC folder, or of one of its lists, without their ending.

    Raises:
        ValueError: no such list, or no xml file.
    """
    folder = annotations_of(root)
    if split is None:
        # Loose files may lie above those of another set: then they are all.
        beside = [] if folder != root else [x for x in sorted(folder.iterdir()) if is_xml(x)]
        files = beside or [path for path in files_below(folder) if is_xml(path)]
        stems = [path.relative_to(folder).with_suffix("").as_posix() for path in files]
    else:
        lists = voc_lists(root)
        if split not in lists:
            path, there = root / _LISTS[0] / f"{split}.txt", ", ".join([*lists][:10])
            raise ValueError(f"{path}: no such list; there are {there or 'none'}")
        named = (_stem_of_line(line, folder) for _, line in read_lines(lists[split]))
        stems = [*dict.fromkeys(named)]
    if not stems:
        raise ValueError(f"{folder}: no xml file in it")
    return stems


def _stem_of_line(line: str, folder: Path) -> str:
    """The name in a line of a list.

    `name`, `name 1` in lists of a class; CVAT writes `"a name"` with quotes, others without.
    """
    quoted = re.match(r'"([^"]+)"', line)
    words = [line, quoted[1] if quoted else line.split()[0], re.sub(r"\s+-?[01]$", "", line)]
    stems = [*words, *(name.replace("\\", "/") for name in words)]
    stems += [re.sub(r"\.\w+$", "", name) for name in stems]  # where it is the image that is named
    stems += [last_part(name) for name in stems]  # with the folder that the image is in
    there = (stem for stem in stems if os.path.isfile(xml_file(folder, stem)))
    return next(there, stems[1])


def is_xml(path: Path) -> bool:
    """Whether the name is that of an annotation file."""
    return path.suffix.lower() == ".xml" and not is_hidden(path.name)


def is_voc_xml(path: Path) -> bool:
    """Whether a file is xml with an annotation in it."""
    return is_xml(path) and holds(path, (b"<annotation",))


def xml_file(folder: Path, stem: str) -> Path:
    """Where the annotations of an image lie, or would lie."""
    loud = folder / f"{stem}.XML"
    return loud if os.path.isfile(loud) else folder / f"{stem}.xml"
