"""What lies in a folder that may be a dataset, walked through once."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, NoReturn

from fcos_deploy.files import files_below, last_part
from fcos_deploy.vision import image_extensions

from ..own_data import DataFiles

# The words of people and tools for the three parts of a dataset.
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "valset", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}
SAMPLE = 200  # names of images that show where the others are


class Reading(NamedTuple):
    """One way to read a folder."""

    format: str  # of `read_dataset`
    layout: str  # for people
    splits: dict[str, DataFiles]  # by "train", "val" and "test"
    images: dict[str, frozenset[str]]  # of each split: paths, without what follows the dot
    lines: list[str]  # what else was seen on the way


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
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.files:
            self._by_name[path.name].append(path)
            if path.suffix.lower() in image_extensions():
                self._by_stem[path.stem].append(path)

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """The files whose names end so, in small or capital letters."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def named(self, *names: str) -> list[Path]:
        """The files of these names."""
        return [path for name in names for path in self._by_name.get(name, ())]

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
        parts = path.relative_to(self.root).parts
        for part in (Path(parts[-1]).stem, *reversed(parts[:-1])) if parts else ():
            words = re.findall("[a-z]+", part.lower())
            splits = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
            if splits or "trainval" in words or "all" in words:
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
            parts = [x for x in re.split(r"[/\\]", name) if x not in ("", ".")]
            there = self._by_name.get(parts[-1], []) if parts else []
            whole = [path for path in there if list(path.parts[-len(parts) :]) == parts]
            # Where only the last part fits, the folders before it are those of another machine.
            folders = {path.parents[len(parts) - 1] for path in whole}
            counts.update(folders or {path.parent for path in there})
        return self._nearest(counts, near)

    def folder_of_stems(self, stems: Iterable[str], near: Path) -> Path | None:
        """As `folder_of`, where names have no ending."""
        counts: Counter[Path] = Counter()
        for stem in stems:
            counts.update({path.parent for path in self._by_stem.get(last_part(stem), ())})
        return self._nearest(counts, near)

    def _nearest(self, counts: Counter[Path], near: Path) -> Path | None:
        def rank(folder: Path) -> tuple:
            split = self.split_of(near)
            apart = len(set(folder.parts) ^ set(near.parts))
            of_split = split is not None and self.split_of(folder) == split
            return counts[folder], folder == near.parent, of_split, -apart, str(folder)

        return max(counts, key=rank, default=None)


def refuse_several(tree: Tree, paths: list[Path], kind: str) -> NoReturn:
    """Raises ValueError: it is not clear which of some files or folders is meant."""
    listed = " and ".join(tree.relative(path) for path in paths[:3])
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    raise ValueError(
        f"{tree.root}: {len(paths)} {kind}, {listed}{more}; which is to be learned? Name it with "
        "--train-data, and with --val-data the one to evaluate on"
    )


def lies_in(path: Path, folder: Path) -> bool:
    """Whether a path leads into a folder, by its own name; a link counts where it lies."""
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def sample(names: list[str]) -> list[str]:
    """Some names from all over a list."""
    return names[:: max(len(names) // SAMPLE, 1)]


def without_ending(paths: Iterable[str | Path]) -> frozenset[str]:
    """Paths of images as `Reading` has them: an xml file names its image without ending."""
    return frozenset(re.sub(r"\.\w+$", "", os.path.normpath(path)) for path in paths)
