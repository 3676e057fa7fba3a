"""Ids of images and classes, which may be texts or larger than some tools can hold."""

from collections.abc import Container, Hashable, Iterable

# Up to it a float64, as which COCO's tools hold ids, keeps neighbours apart.
LARGEST_ID = 2**53

Id = int | str


def as_id(value: object) -> Id | None:
    """`value` as an id: a whole number (also written as 3.0) or a text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value


def find_id(value: object, known: Container[Hashable]) -> Id | None:
    """The one of the `known` ids that `value` means; None if there is none.

    A text is that text. Only where it is not known it means the number that it spells, and a number
    its text: "01" and "1" are two images, while "1" may point to the image 1.
    """
    given = as_id(value)
    if given in known:
        return given
    other = str(given) if isinstance(given, int) else _spelled(given)
    return other if other in known else None


def number_ids(given: Iterable[Id]) -> dict[Id, int]:
    """A whole number in [0, 2**53] for each id: the ids themselves where all are such numbers.

    Others are counted from 1: numbers and texts that spell some in the order of the numbers, else
    in the given order.
    """
    distinct = list(dict.fromkeys(given))
    whole = {x: x for x in distinct if type(x) is int and 0 <= x <= LARGEST_ID}
    if len(whole) == len(distinct):
        return whole  # type: ignore[return-value]  # its keys are numbers
    spelled = {x: x if isinstance(x, int) else _spelled(x) for x in distinct}
    numbers = {x: number for x, number in spelled.items() if number is not None}
    if len(numbers) == len(distinct):
        distinct.sort(key=numbers.__getitem__)
    return {x: number for number, x in enumerate(distinct, start=1)}


def _spelled(text: Id | None) -> int | None:
    if not isinstance(text, str) or len(text) >= 1000:
        return None
    is_number = text.isascii() and text.removeprefix("-").isdecimal()
    return int(text) if is_number else None
