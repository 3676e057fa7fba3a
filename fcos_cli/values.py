"""Values of flags."""

import argparse
import re


def size(text: str) -> tuple[int, int]:
    """Height and width of "512x736"."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; height x width, as 512x736")
    return int(found[1]), int(found[2])


def duration(text: str) -> float:
    """Seconds of "90s", "20m", "1.5h" or "1h30m"."""
    found = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m(?:in)?)?(?:([\d.]+)s)?", text)
    try:
        parts = [float(x or 0) for x in found.groups()] if found and text else []
    except ValueError:  # such as 1.2.3
        parts = []
    seconds = sum(x * y for x, y in zip(parts, (3600, 60, 1), strict=False))
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; 90s, 20m, 2h or 1h30m")
    return seconds


def above_zero(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def positive(text: str) -> int:
    """A whole number above 0."""
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)
