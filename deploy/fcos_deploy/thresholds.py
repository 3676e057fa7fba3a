"""The lowest score of a detection: one for all classes, or one for each.

In files it is a number, or the class names with a number each: pairs, [[cat, 0.4], [dog, 0.35]],
as configs hold them, or a mapping, {cat: 0.4, dog: 0.35}.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

Thresholds = tuple[float, ...]  # one for each class, in their order

DRAWN = 0.5  # the score from which detections are shown where nobody has chosen one


def thresholds_of(value: object, class_names: Sequence[str]) -> Thresholds:
    """The threshold of each class.

    Args:
        value: a number in [0, 1] for all, or for each class its name and a number.
        class_names: of the model, K. Of several with one name, the first pair is for the first.

    Returns:
        K numbers.

    Raises:
        ValueError: another number, an unknown class, or one that is missing; names it.
    """
    if isinstance(value, (int, float)):
        return (_number(value, ""),) * len(class_names)
    pairs = _pairs(value)
    given = Counter(name for name, _ in pairs)
    wanted = Counter(class_names)
    if unknown := [name for name in given if given[name] > wanted[name]]:
        what = "is no class" if unknown[0] not in wanted else "is there too often"
        raise ValueError(
            f"a score threshold for {unknown[0]!r}, which {what}: the classes are "
            f"{_listed(class_names)}"
        )
    if absent := [name for name in wanted if given[name] < wanted[name]]:
        raise ValueError(
            f"no score threshold for {_listed(absent)}: give one for each class, or one number "
            "for all"
        )
    found: dict[str, list[float]] = {}
    for name, number in pairs:
        found.setdefault(name, []).append(_number(number, f" for {name!r}"))
    return tuple(found[name].pop(0) for name in class_names)


def as_written(thresholds: Thresholds, class_names: Sequence[str]) -> float | list[list]:
    """What a file says of them: the number that all share, or pairs of name and number.

    Args:
        thresholds: K.
        class_names: K.
    """
    if len(set(thresholds)) == 1:
        return thresholds[0]
    return [[name, x] for name, x in zip(class_names, thresholds, strict=True)]


def in_words(thresholds: Thresholds, class_names: Sequence[str]) -> str:
    """Such as "0.4" or "cat 0.4, dog 0.35"."""
    written = as_written(thresholds, class_names)
    if isinstance(written, float):
        return f"{written:.4g}"
    return ", ".join(f"{name} {x:.4g}" for name, x in written)


def _pairs(value: object) -> list[tuple[str, object]]:
    pairs: object = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, (list, tuple)) or not all(
        isinstance(x, (list, tuple)) and len(x) == 2 for x in pairs
    ):
        raise ValueError(
            "a score threshold must be a number, or for each class its name and a number "
            f"([[cat, 0.4], [dog, 0.35]]), got {value!r}"
        )
    for name, _ in pairs:
        if not isinstance(name, str):  # yaml reads no as False, and 1 as a number
            raise ValueError(
                f"the class {name!r} of a score threshold must be text; write it in quotes"
            )
    return [(name, number) for name, number in pairs]


def _number(value: object, where: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise ValueError(f"the score threshold{where} must be in [0, 1], got {value!r}")


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(map(repr, names[:8])) + rest
