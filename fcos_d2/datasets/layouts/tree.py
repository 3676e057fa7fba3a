"""What lies in a folder that may be a dataset, walked through once."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, NoReturn

from fcos_deploy.files import files_below, last_part
from fcos_deploy.vision import named_like_image

from ..formats.image_names import FilesByName, folded, parts_of, spellings
from ..own_data import USUAL_SPLITS, DataFiles
from ..split_words import SPLIT_WORDS, splits_called
from ..splitting import MADE_FROM

# The words in the names of folders of images; in others may lie masks, drawings or copies of them.
_OF_IMAGES = {
    *("image", "images", "img", "imgs", "jpegimages", "photos", "pictures", "data"),
    *("default", "all", "trainval", *SPLIT_WORDS),
}
# What only a run of ours writes, into its output folder.
_OF_A_RUN = {MADE_FROM, *(f"{name}.json" for name in USUAL_SPLITS)}
SAMPLE = 200  # names of images that show where the others are


class Reading(NamedTuple):
    """One way to read a folder."""

    format: str  # of `read_dataset`
    layout: str  # for people
    splits: dict[str, DataFiles]  # by "train", "val" and "test"
    images: dict[str, frozenset[str]]  # of each split: paths, without what follows the dot
    lines: list[str]  # what else was seen on the way


class SeveralMeant(ValueError):
    """It is not clear which of some files or folders is to be learned from."""


class Tree:
    """The files of a folder, by name and stem."""

    def __init__(self, root: Path, without: Path | None = None) -> None:
        """
        Args:
            root: the folder.
            without: a folder in it that is passed over.
        """
        self.root = root
        self.files = files_below(root)
        if without is not None:
            self.files = [path for path in self.files if not lies_in(path, without)]
        self.runs = self._pass_over_runs()
        self._rivals: dict[Path, set[Path]] = defaultdict(set)  # of folders that were found
        self._by_name = FilesByName(self.files)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.files:
            if named_like_image(path):
                self._by_stem[path.stem].append(path)

    def _pass_over_runs(self) -> list[Path]:
        """Takes out what runs have written beside the data; returns their folders."""
        runs = {path.parent for path in self.files if path.name in _OF_A_RUN}
        if not runs:
            return []
        kept = []
        for path in self.files:
            above = runs.intersection(path.parents)
            # Where the output folder is that of the data, only what is surely ours.
            if not above or (above == {self.root} and path.name not in _OF_A_RUN):
                kept.append(path)
        if not kept:  # nothing but runs: whoever names it will hear what is in them
            return []
        self.files = kept
        return sorted(x for x in runs if not runs.intersection(x.parents))

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """The files whose names end so, in small or capital letters."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def named(self, *names: str) -> list[Path]:
        """The files of these names."""
        return [x for name in names for x in self._by_name.named(name) if x.name == name]

    def images_below(self, folder: Path) -> list[Path]:
        """The images in a folder and in those in it."""
        paths = (path for paths in self._by_stem.values() for path in paths)
        return [path for path in paths if path.is_relative_to(folder)]

    def has_image(self, path: Path) -> bool:
        """Whether there is an image of this path, but for its ending."""
        return any(x.parent == path.parent for x in self._by_stem.get(path.name, ()))

    def relative(self, path: Path) -> str:
        """A path as people see it from the folder."""
        inside = path.is_relative_to(self.root)
        return path.relative_to(self.root).as_posix() if inside else str(path)

    def split_of(self, path: Path) -> str | None:
        """Which split a file or folder in the tree is called after; None for none or several.

        `annotations/instances_train2017.json` and `valid/_annotations.coco.json` say it.
        """
        if not path.is_relative_to(self.root):
            return None  # a folder above it
        parts = path.relative_to(self.root).parts
        for part in (Path(parts[-1]).stem, *reversed(parts[:-1])) if parts else ():
            splits = splits_called(part)
            if splits or {"trainval", "all"}.intersection(_words(part)):
                return splits.pop() if len(splits) == 1 else None
        return None

    def folder_of(self, names: Iterable[str], near: Path) -> Path | None:
        """The folder that names of images are relative to; None where none of them is there.

        Args:
            names: as an annotation file has them; of Windows and of other machines, too.
            near: the annotation file; of equal folders the one beside it, or of its split, counts.
        """
        counts: Counter[Path] = Counter()
        for name in names:
            counts.update(self.folders_of(name))
        return self.nearest(counts, near)

    def folders_of(self, name: str) -> set[Path]:
        """The folders that the name of an image may be relative to."""
        for spelling in spellings(name):
            parts = parts_of(spelling)
            there = self._by_name.named(last_part(spelling))
            whole = [x for x in there if [*map(folded, x.parts[-len(parts) :])] == parts]
            # Where only the last part fits, the folders before it are those of another machine.
            folders = {x.parents[len(parts) - 1] for x in whole} or {x.parent for x in there}
            if folders:
                return folders
        return set()

    def image_like(self, name: str) -> Path | None:
        """An image of this name, but for its ending."""
        return next(iter(self._by_name.images_like(name)), None)

    def folder_of_stems(self, stems: Iterable[str], near: Path) -> Path | None:
        """As `folder_of`, where names have no ending."""
        counts: Counter[Path] = Counter()
        for stem in stems:
            counts.update({path.parent for path in self._by_stem.get(last_part(stem), ())})
        return self.nearest(counts, near)

    def nearest(self, counts: Counter[Path], near: Path) -> Path | None:
        """Of the folders that hold most of some names, the likeliest; None without any.

        Args:
            counts: how many of the names each folder holds.
            near: see `folder_of`.
        """
        split = self.split_of(near)

        def other_split(folder: Path) -> bool:
            return split is not None and self.split_of(folder) not in (None, split)

        def rank(folder: Path) -> tuple:
            beyond = [x for x in folder.parts if x not in near.parts]
            odd = [x for x in beyond if not _OF_IMAGES.issuperset(_words(x))]
            of_split = split is not None and self.split_of(folder) == split
            # A folder of images is taken before one of masks, which may be nearer.
            usual = other_split(folder), len(odd), not of_split
            apart = len(set(folder.parts) ^ set(near.parts))
            size = len(str(folder))
            return -counts[folder], folder != near.parent, *usual, apart, size, str(folder)

        found = min(counts, key=rank, default=None)
        if found is not None and found != near.parent:
            equal = {x for x in counts if counts[x] == counts[found] and not other_split(x)}
            self._rivals[found] |= equal - {found}
        return found

    def remarks(self, reading: Reading) -> list[str]:
        """What was passed over on the way to a reading."""
        lines = []
        if self.runs:
            lines.append(f"what a training wrote into {listed(self, self.runs)} is passed over")
        folders = {Path(files.images) for files in reading.splits.values() if files.images}
        taken = sorted(x for x in folders if self._rivals.get(x))
        others = sorted({y for x in taken for y in self._rivals[x]} - folders)
        if others:
            lines.append(
                f"images are taken from {listed(self, taken)}; just as many of their names are in "
                f"{listed(self, others)}: --train-data FILE --train-images DIR uses those"
            )
        return lines


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def listed(tree: Tree, paths: list[Path]) -> str:
    """The first few files or folders, as people see them from the folder."""
    shown = [tree.relative(path) for path in paths[:3]]
    shown += [f"{len(paths) - 3} more"] if len(paths) > 3 else []
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def refuse_several(tree: Tree, paths: list[Path], kind: str) -> NoReturn:
    """Raises SeveralMeant, with the cure."""
    raise SeveralMeant(
        f"{tree.root}: {len(paths)} {kind}, {listed(tree, paths)}; which one is the training data? "
        "Give it with --train-data, and the one to evaluate on with --val-data, or choose another "
        "format with --data-format"
    )


def lies_in(path: Path, folder: Path) -> bool:
    """Whether a path leads into a folder, by its own name; a link counts where it lies."""
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def sample(names: list[str]) -> list[str]:
    """Some names from all over a list."""
    return names[:: max(len(names) // SAMPLE, 1)]


def without_ending(paths: Iterable[str | Path]) -> frozenset[str]:
    """Paths of images as `Reading` has them: an xml file names its image without ending."""
    plain = (os.path.normpath(str(path).replace("\\", "/")) for path in paths)
    return frozenset(re.sub(r"\.\w+$", "", path) for path in plain)
