"""Values of flags."""

import argparse
import re


def size(text: str) -> tuple[int, int]:
    """Height and width of "512x736"."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; height x width, as 512x736")
    return int(found[1]), int(found[2])


def positive(text: str) -> int:
    """A whole number above 0."""
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)
