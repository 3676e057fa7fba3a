"""Values of flags."""

import argparse
import math
import re


def size(text: str) -> tuple[int, int]:
    """Height and width of "512x736"."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; height x width, as 512x736")
    return int(found[1]), int(found[2])


def duration(text: str) -> float:
    """Seconds of "20m", "90s", "1.5h" or "300"."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)(s|m|min|h|)", text.strip().lower())
    seconds = (
        float(found[1]) * {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}[found[2]] if found else 0
    )
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no length of time above 0; minutes, seconds or hours, as 20m, 90s, 1.5h"
        )
    return seconds


def points(text: str) -> list[tuple[float, float]]:
    """The points of "x1,y1,x2,y2,..."."""
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) < 4 or len(numbers) % 2 or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of points in px: x1,y1,x2,y2")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def line(text: str) -> list[tuple[float, float]]:
    """The two points of "x1,y1,x2,y2"."""
    found = points(text)
    if len(found) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no line; two points in px: x1,y1,x2,y2")
    return found


def polygon(text: str) -> list[tuple[float, float]]:
    """The points of "x1,y1,x2,y2,x3,y3,...", three or more."""
    found = points(text)
    if len(found) < 3:
        raise argparse.ArgumentTypeError(f"{text!r} is no zone; three or more points in px")
    return found


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


def port(text: str) -> int:
    """A number of a TCP port, or 0."""
    if not re.fullmatch(r"\d{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return int(text)
