"""Tracks in the text format of the MOTChallenge."""

import os
from pathlib import Path
from types import TracebackType

from fcos_deploy.text import shown
from fcos_deploy.writing import temporary_name, write_text

from .tracks import Tracks

UNKNOWN = -1  # visibility


class MotWriter:
    """Writes a line for each object of each frame; to be used in a `with` statement.

    Frames, numbers of objects, pixels and classes count from 1, as in the MOTChallenge. The file
    gets its name when it is closed, which `with` does after errors and Ctrl-C, too.
    """

    def __init__(self, path: Path, class_names: list[str]) -> None:
        """Creates the file, and beside it the names of the classes, one a line.

        Args:
            path: a name that ends in .txt, in a folder that exists.
            class_names: in the order of the class numbers.
        """
        self.path = path
        self._temporary = temporary_name(path)
        write_text(labels_of(path), "".join(f"{shown(x)}\n" for x in class_names))
        self._temporary.touch()
        self._frame = 0

    def write(self, tracks: Tracks) -> None:
        """Appends the objects of the next frame."""
        self._frame += 1
        lines = []
        for number, box, score, label in zip(*tracks, strict=True):
            x1, y1, x2, y2 = box.tolist()
            place = (f"{x:.2f}" for x in (x1 + 1, y1 + 1, x2 - x1, y2 - y1))
            words = [self._frame, number, *place, f"{score:.4f}", label + 1, UNKNOWN]
            lines.append(",".join(map(str, words)) + "\n")
        with open(self._temporary, "a", encoding="ascii") as file:
            file.writelines(lines)

    def __enter__(self) -> "MotWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._frame:
            os.replace(self._temporary, self.path)
        else:
            self._temporary.unlink(missing_ok=True)
            labels_of(self.path).unlink(missing_ok=True)


def mot_path(video: Path) -> Path:
    """Beside a drawn video: drawn.mot.txt of drawn.mp4."""
    return video.with_name(f"{video.stem}.mot.txt")


def labels_of(path: Path) -> Path:
    """Where the names of the classes stand: drawn.labels.txt of drawn.mot.txt."""
    return path.with_name(f"{path.name.removesuffix('.mot.txt')}.labels.txt")
