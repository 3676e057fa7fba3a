"""Lengths of time in words."""


def in_words(seconds: float) -> str:
    """Such as "45 s", "20 min", "90 min" or "2.5 h"."""
    if seconds < 99.5:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{_short(seconds / 60)} min"
    return f"{_short(seconds / 3600)} h"


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
