"""Where a file may be written whose name comes from data."""

import os
from pathlib import Path, PureWindowsPath


def path_inside(folder: str | Path, name: str) -> Path:
    """The path of `name` in an output folder; a name from data could lead anywhere.

    Args:
        folder: of the output; it need not exist.
        name: with / between folders.

    Raises:
        ValueError: the path would leave the folder, also through a link in it, or is the folder
            itself.
    """
    if not name or "\0" in name or name.startswith("~"):
        raise ValueError(f"{name!r} cannot be the name of a file in {folder}")
    root = os.path.realpath(folder)
    path = Path(folder, name)
    # A drive, as in C:\x, means nothing here, but may where the result is used.
    inside = os.path.commonpath([root, os.path.realpath(path)]) == root
    if not inside or os.path.realpath(path) == root or PureWindowsPath(name).drive:
        raise ValueError(
            f"{name!r} leads out of the output folder {folder}; nothing is written there. Rename "
            "the file, or take out the link"
        )
    return path
