"""The objects of the drawn sets, by the names of their classes."""

import math
import re
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.made_scene import FINENESS, Sprite, colour, filled, noise

Outlines = list[np.ndarray]  # (n, 2) xy each, in any unit
CODE = re.compile(r"[A-Z]+ \d+")
MIN_DIFFERENCE = 90  # between print and paper, grey levels
LETTERS = "ABCDEFGHKLMNPRSTUVXYZ0123456789"


def draw_sprite(rng: np.random.Generator, name: str, side: float) -> Sprite:
    """An object of a class; no two look alike.

    Args:
        name: of an outline, or a code such as "KA 317", which is printed on a label.
        side: the longer one, px.
    """
    if CODE.fullmatch(name):
        return _label(rng, name, side)
    return filled(rng, OUTLINES[name](rng), side)


def _regular(corners: int, radii: float | np.ndarray = 1.0) -> np.ndarray:
    angles = np.arange(corners) * (2 * math.pi / corners)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.reshape(radii, (-1, 1))


def _star(points: int) -> Callable[[np.random.Generator], Outlines]:
    def draw(rng: np.random.Generator) -> Outlines:
        inner = rng.uniform(0.4, 0.6)
        return [_regular(2 * points, np.where(np.arange(2 * points) % 2 == 0, 1, inner))]

    return draw


def _round_star(rng: np.random.Generator) -> Outlines:
    waves = 1 + rng.uniform(0.15, 0.25) * np.cos(5 * np.linspace(0, 2 * math.pi, 80, False))
    return [_regular(80, waves)]


def _ellipse(rng: np.random.Generator) -> Outlines:
    return [_regular(40) * (1, rng.uniform(0.45, 0.75))]


def _bolt(rng: np.random.Generator) -> Outlines:
    shaft, head, length = rng.uniform(0.18, 0.26), rng.uniform(0.45, 0.6), rng.uniform(0.25, 0.4)
    half = [(0, shaft), (2 - length, shaft), (2 - length, head), (2, head)]
    return [_mirrored(half)]


def _nut(rng: np.random.Generator) -> Outlines:
    return [_regular(6), _regular(24) * rng.uniform(0.4, 0.55)]


def _bottle(rng: np.random.Generator) -> Outlines:
    neck, shoulder = rng.uniform(0.12, 0.2), rng.uniform(1.0, 1.3)
    body = rng.uniform(0.35, 0.5)
    half = [(0, body), (shoulder, body), (shoulder + 0.4, neck), (2, neck)]
    return [_mirrored(half)]


def _mug(rng: np.random.Generator) -> Outlines:
    height, taper, grip = rng.uniform(1.1, 1.6), rng.uniform(0.8, 1), rng.uniform(0.3, 0.45)
    angles = np.linspace(-math.pi / 2, math.pi / 2, 24)
    arc = np.stack([np.cos(angles), np.sin(angles)], axis=1) * grip
    centre = np.array([0.6 * taper, height / 2])
    handle = centre + np.concatenate([arc, 0.55 * arc[::-1]])
    half = 0.6 * taper, 0.6
    return [np.array([(-half[0], height), (-half[1], 0), (half[1], 0), *handle, (half[0], height)])]


def _fish(rng: np.random.Generator) -> Outlines:
    fat, tail = rng.uniform(0.3, 0.5), rng.uniform(0.3, 0.5)
    angles = np.linspace(-0.88 * math.pi, 0.88 * math.pi, 40)
    body = np.stack([np.cos(angles), np.sin(angles) * fat], axis=1)
    return [np.array([*body, (-1.5, tail), (-1.3, 0), (-1.5, -tail)])]


def _leaf(rng: np.random.Generator) -> Outlines:
    along = np.linspace(0, 1, 24)
    teeth = 1 + rng.uniform(0, 0.15) * (np.arange(24) % 2)
    width = rng.uniform(0.25, 0.4) * np.sin(math.pi * along ** rng.uniform(0.7, 1.2)) * teeth
    return [_mirrored([(2 * x, y) for x, y in zip(along, width, strict=True)])]


def _van(rng: np.random.Generator) -> Outlines:
    nose, roof = rng.uniform(0.25, 0.5), rng.uniform(0.8, 1.1)
    body = np.array([(0, 0), (0, roof), (1.8 - nose, roof), (1.8, roof / 2), (2.1, 0.4), (2.1, 0)])
    wheels = [np.array(_regular(24) * 0.22 + (x, -0.23)) for x in (0.45, 1.65)]
    front, top = 1.75 - nose, roof - 0.12
    pane = np.array([(1.3 - nose, 0.55), (1.3 - nose, top), (front, top), (1.7, 0.55)])
    return [x * (1, -1) for x in (body, *wheels, pane)]  # y points down


def _mirrored(half: list[tuple[float, float]]) -> np.ndarray:
    """Outline of a thing that its axis, y = 0, divides in two equal halves."""
    upper = np.array(half)
    return np.concatenate([upper, upper[::-1] * (1, -1)])


OUTLINES: dict[str, Callable[[np.random.Generator], Outlines]] = {
    "star": _star(5),
    "star of 4": _star(4),
    "star of 6": _star(6),
    "pentagon": lambda rng: [_regular(5)],
    "round star": _round_star,
    "grain": _ellipse,
    "bolt": _bolt,
    "nut": _nut,
    "bottle": _bottle,
    "mug": _mug,
    "fish": _fish,
    "leaf": _leaf,
    "van": _van,
}


def _label(rng: np.random.Generator, code: str, side: float) -> Sprite:
    """A printed label: the code among lines of text that mean nothing, a bar and stripes."""
    width = round(side * FINENESS)
    height = round(width * rng.uniform(0.4, 0.65))
    while True:
        paper, ink = colour(rng, (0, 0.7), (0.4, 1)), colour(rng, (0, 0.8), (0, 1))
        if abs(paper.mean() - ink.mean()) >= MIN_DIFFERENCE:
            break
    print_ = Image.new("L", (width, height))
    pen = ImageDraw.Draw(print_)
    size = height * rng.uniform(0.32, 0.42)
    x, y = width * rng.uniform(0.03, 0.1), height * rng.uniform(0.25, 0.6)
    pen.text((x, y), code, fill=255, font=ImageFont.load_default(size=size))
    small = ImageFont.load_default(size=max(6.0, size / 2.5))
    pen.text((x, y - height * 0.18), _words(rng), fill=200, font=small)
    pen.rectangle((0, 0, width, height * rng.uniform(0.04, 0.14)), fill=int(rng.integers(90, 256)))
    bars = rng.uniform(0.75, 0.97, 10) * width
    for bar in bars:
        thick = max(1, width * rng.uniform(0.002, 0.01))
        pen.rectangle((bar, height * 0.3, bar + thick, height * 0.9), fill=220)
    strength = np.asarray(print_, np.float32)[:, :, None] / 255
    colours = noise(rng, (height, width), paper, rng.uniform(3, 20))
    colours += (ink.astype(np.float32) - colours) * strength
    coverage = np.ones((height, width), np.float32)
    return Sprite(colours, cv2.copyMakeBorder(coverage[1:-1, 1:-1], 1, 1, 1, 1, 0, value=0))


def _words(rng: np.random.Generator) -> str:
    return "".join(rng.choice([*LETTERS, " "], int(rng.integers(5, 12))).tolist())
