"""A choice among names, checked in one way everywhere."""

from collections.abc import Iterable


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raises ValueError for a value that is none of the choices.

    Args:
        name: of the argument, for the message.
    """
    choices = tuple(choices)
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")
