"""A choice among names."""

from collections.abc import Collection


def check_choice(name: str, value: object, legal: Collection[object]) -> None:
    """Raises ValueError, with the legal values, for another one."""
    if value not in legal:
        raise ValueError(f"{name} must be one of {tuple(legal)}, got {value!r}")
