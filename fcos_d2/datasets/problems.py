"""What is wrong with a dataset: where, what, and what was done about it."""

import math
import os
import reprlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fcos_deploy.text import shown

from .ids import Id

SEVERITIES = ("note", "warning", "error")


class Place(NamedTuple):
    """Where something is; what does not apply is empty."""

    file: str = ""  # annotation file, with the line if it has lines: "boxes.csv line 3"
    image: str = ""  # file name, as in the dataset
    annotation: Id | None = None  # id in the file
    category: str = ""  # name
    box: tuple[float, ...] | None = None  # xywh, px of the image

    def with_corners(self, corners: Sequence[float]) -> "Place":
        """With a box from its corners, px; without one where a number is not finite."""
        x1, y1, x2, y2 = corners
        is_box = all(map(math.isfinite, corners))
        return self._replace(box=(x1, y1, x2 - x1, y2 - y1) if is_box else None)

    def __str__(self) -> str:
        image = self.image
        if self.annotation is not None:
            image = f"annotation {reprlib.repr(self.annotation)} of {image}"
        if not self.file or not image:
            return self.file or image
        # a.xml and a.txt say enough.
        return (
            self.file
            if _stem(self.file.split(" line ")[0]) == _stem(image)
            else (f"{self.file} ({image})")
        )


class Problem(NamedTuple):
    """One thing that is wrong, odd, or was repaired."""

    severity: str  # "note": harmless; "warning": may cost accuracy; "error": stops training
    kind: str  # short and the same for all problems of a kind, such as "box without area"
    detail: str = ""  # the value as it stands in the file; "" if the box says it all
    repair: str = ""  # what was done about it, such as "left out"; "" for nothing
    place: Place = Place()

    @property
    def where(self) -> str:
        """Place and value, such as "annotation 7 of a.jpg: cat [3, 4, 0, 5]"."""
        box = self.place.box
        value = self.detail or ("" if box is None else str([round(x, 2) for x in box]))
        what = " ".join(filter(None, (self.place.category, value)))
        return ": ".join(filter(None, (str(self.place), what)))

    def without_severity(self) -> str:
        """In one line, without the severity."""
        return f"{self.kind}: {shown(self.where)}" + (f"; {self.repair}" if self.repair else "")

    def __str__(self) -> str:
        return f"{self.severity}: {self.without_severity()}"


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]


def worst_first(problems: Iterable[Problem]) -> list[Problem]:
    """Errors, warnings and notes, each in the given order."""
    return sorted(problems, key=lambda problem: -SEVERITIES.index(problem.severity))


def summarise(problems: Iterable[Problem], examples: int = 3) -> list[str]:
    """A line for each kind, the worst first: how many there are, and the first few of them."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        key = problem.severity, problem.kind, problem.repair
        groups.setdefault(key, []).append(problem)
    lines = []
    for (severity, kind, repair), group in sorted(
        groups.items(), key=lambda item: (-SEVERITIES.index(item[0][0]), -len(item[1]))
    ):
        some = "; ".join(shown(problem.where) for problem in group[:examples])
        more = f"; and {len(group) - examples} more" if len(group) > examples else ""
        done = f" ({repair})" if repair else ""
        lines.append(f"{severity}: {kind}: {len(group)}{done}: {some}{more}")
    return lines
