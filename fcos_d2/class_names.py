"""Lists of class names, compared: equal names mean the same class, whatever their positions."""

from collections import Counter
from collections.abc import Sequence

from detectron2.data import MetadataCatalog

_MOST = 8  # names in a message; the rest is counted


def dataset_class_names(dataset_names: Sequence[str]) -> list[str] | None:
    """Those of the first of some datasets in detectron2's catalogue; None where there are none."""
    if not dataset_names:
        return None
    return MetadataCatalog.get(dataset_names[0]).get("thing_classes")


def positions(names: Sequence[str], among: Sequence[str]) -> list[int]:
    """Where each of `names` is in `among`; -1 for one that is not there.

    Of classes with one name, which some datasets have, the first belongs to the first, and so on.
    """
    found = {key: i for i, key in enumerate(_numbered(among))}
    return [found.get(key, -1) for key in _numbered(names)]


def only_in(names: Sequence[str], others: Sequence[str]) -> list[str]:
    """Those of `names` that `others` lacks."""
    return [name for name, i in zip(names, positions(names, others), strict=True) if i < 0]


def difference(before: Sequence[str], now: Sequence[str]) -> str:
    """How one list became the other, in words; "" for equal ones."""
    if list(before) == list(now):
        return ""
    new, gone = only_in(now, before), only_in(before, now)
    parts = [f"new: {listed(new)}"] if new else []
    parts += [f"gone: {listed(gone)}"] if gone else []
    return "; ".join(parts) or f"in another order: {listed(before)} became {listed(now)}"


def listed(names: Sequence[str]) -> str:
    """The names in one line."""
    rest = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(map(str, names[:_MOST])) + rest


def _numbered(names: Sequence[str]) -> list[tuple[str, int]]:
    seen: Counter = Counter()
    numbered = []
    for name in names:
        numbered.append((name, seen[name]))
        seen[name] += 1
    return numbered
