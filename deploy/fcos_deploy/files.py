"""Finding files in users' folders, with their links, hidden files and names from Windows."""

import fnmatch
import os
import re
from collections import deque
from pathlib import Path

# What desktops leave in folders besides names with a dot in front, such as `._a.jpg`.
_LEFT_BY_DESKTOPS = {"thumbs.db", "desktop.ini", "__macosx"}
# How the names of files end that have to be unpacked before anything can be read.
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def is_hidden(name: str) -> bool:
    """Whether a file or folder with this name is not part of the user's data."""
    return name.startswith(".") or name.lower() in _LEFT_BY_DESKTOPS


def files_below(folder: str | Path) -> list[Path]:
    """All files below a folder that are not hidden, sorted, including links without a target.

    Links to folders are followed. A folder is entered once, however many links lead to it, and by
    its own name rather than by a link's.

    Raises:
        ValueError: a folder that cannot be read; names it.
    """
    entered, found = set(), []
    waiting = deque([Path(folder)])  # links come after the folders
    while waiting:
        current = waiting.popleft()
        try:
            status = os.stat(current)
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(current) as entries:
                inside = [entry for entry in entries if not is_hidden(entry.name)]
        except OSError as error:
            raise ValueError(f"{current}: cannot be read ({error.strerror})") from None
        for entry in sorted(inside, key=lambda x: x.name):
            path = current / entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.appendleft(path)
            elif entry.is_symlink() and path.is_dir():
                waiting.append(path)
            else:
                found.append(path)
    return sorted(found)


def files_matching(pattern: str) -> list[Path]:
    """The files that match a pattern with `**`, by the rules of `files_below`, unlike `glob`."""
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if any(x in part for x in "*?["))
    folder = Path(*parts[:fixed])
    if not folder.is_dir():
        return []
    paths = files_below(folder)
    return [p for p in paths if _matches(p.relative_to(folder).parts, parts[fixed:])]


def _matches(names: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    if not patterns:
        return not names
    if patterns[0] == "**":  # any number of folders; at the end, anything
        rest = patterns[1:]
        return not rest or any(_matches(names[i:], rest) for i in range(len(names)))
    return (
        bool(names)
        and fnmatch.fnmatchcase(names[0], patterns[0])
        and _matches(names[1:], patterns[1:])
    )


def find_file(folder: str | Path, name: str) -> Path:
    r"""The file with this name in a folder; for a\b it may also be a/b.

    Returns:
        The path with the unchanged name if neither exists.
    """
    path = Path(folder, name)
    if "\\" in name and not os.path.exists(path):  # unlike Path.exists it accepts every name
        turned = Path(folder, name.replace("\\", "/"))
        if os.path.exists(turned):
            return turned
    return path


def backslash_hint(name: str | Path) -> str:
    """An addition to the message that a file does not exist; "" for names without backslashes."""
    if "\\" not in str(name):
        return ""
    return (
        " (nor with / for \\; write names of Windows relative to the folder of the images, such as "
        f"{last_part(name)})"
    )


def last_part(name: str | Path) -> str:
    r"""The file's own name, in a path of Linux or Windows: a.jpg of x/a.jpg and x\a.jpg."""
    return re.split(r"[/\\]", str(name))[-1]
