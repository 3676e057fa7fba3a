"""What is wrong with a dataset, in words."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from fcos_deploy.text import shown

SEVERITIES = ("note", "warning", "error")


class Problem(NamedTuple):
    """One thing that is wrong, odd, or was repaired."""

    severity: str  # "note": nothing to do; "warning": costs accuracy; "error": would cost the run
    kind: str  # short and the same for all problems of a kind, such as "box without area"
    where: str  # file, image and value, such as "a.jpg: box [3, 4, 0, 5] of class cat"
    repair: str = ""  # what was done about it, such as "left out"; "" for nothing

    def __str__(self) -> str:
        repair = f"; {self.repair}" if self.repair else ""
        return f"{self.severity}: {self.kind}: {shown(self.where)}{repair}"


def summarise(problems: Iterable[Problem], examples: int = 3) -> list[str]:
    """A line for each kind, the worst first: how many there are, and the first few of them."""
    problems = list(problems)
    counts = Counter((p.severity, p.kind, p.repair) for p in problems)
    lines = []
    for (severity, kind, repair), count in sorted(
        counts.items(), key=lambda item: (-SEVERITIES.index(item[0][0]), -item[1])
    ):
        where = [
            p.where for p in problems if (p.severity, p.kind, p.repair) == (severity, kind, repair)
        ]
        some = "; ".join(map(shown, where[:examples]))
        more = f"; and {count - examples} more" if count > examples else ""
        done = f" ({repair})" if repair else ""
        lines.append(f"{severity}: {kind}: {count}{done}: {some}{more}")
    return lines
