"""Folders of many files that appear whole, or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fcos_deploy.confine import path_inside
from fcos_deploy.writing import remove_leftovers, temporary_name


class Tree:
    """A folder under a temporary name; `written_whole` gives one."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.temporary = temporary_name(output)
        self.temporary.mkdir(parents=True)

    def file(self, folder: str, name: str) -> Path:
        """Where to write a file, whose folders are made.

        Args:
            folder: in the tree.
            name: from the data; with / between folders.

        Raises:
            ValueError: it would lie outside of that folder, also by a link that is there.
        """
        path_inside(self.output / folder, name)
        path = self.temporary / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, text: str) -> None:
        """A file whose name is not from the data."""
        self.file("", name).write_text(text, encoding="utf-8")

    def link(self, name: str, target: Path) -> None:
        """A link to an absolute path; see `file`."""
        _check_link(self.output, name)
        path = self.temporary / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, path, target_is_directory=target.is_dir())


@contextmanager
def written_whole(output: Path, last: str) -> Iterator[Tree]:
    """A tree that becomes the folder `output` when all went well.

    Where there is such a folder, its other files stay, and each new file takes its place at the
    end, in one step; links never replace files.

    Args:
        output: folder.
        last: file that readers start from; it takes its place after all others.

    Raises:
        ValueError: a file would lie outside of `output`, by a link in it.
    """
    remove_leftovers(output.parent, f"{output.name}.")
    tree = Tree(output)
    try:
        yield tree
        if output.exists():
            _move_into(tree.temporary, output, last)
        else:
            os.replace(tree.temporary, output)
    finally:
        shutil.rmtree(tree.temporary, ignore_errors=True)


def _move_into(source: Path, target: Path, last: str) -> None:
    names = [path.relative_to(source).as_posix() for path in source.rglob("*") if _is_leaf(path)]
    names.sort(key=lambda name: (name == last, name))
    for name in names:  # all, before one is moved
        (_check_link if (source / name).is_symlink() else path_inside)(target, name)
    for name in names:
        path, place = source / name, target / name
        if path.is_symlink() and place.exists() and not place.is_symlink():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, place)


def _check_link(folder: Path, name: str) -> None:
    """As `path_inside`, for a link: where one of that name leads does not count."""
    path_inside(folder, f"{name}.link")


def _is_leaf(path: Path) -> bool:
    return path.is_symlink() or not path.is_dir()
