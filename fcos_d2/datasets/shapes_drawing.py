"""Pictures of the drawn Shapes dataset: textured shapes of five classes on busy backgrounds."""

import colorsys
import math
from typing import NamedTuple

import cv2
import numpy as np

from ..choices import check_choice

CLASS_NAMES = ("circle", "square", "triangle", "star", "ring")
IMAGE_SIZE = (192, 192)  # (h, w) px
NUM_SHAPES = (3, 9)  # fewest and most of a picture
SHAPE_DIAMETERS = (24, 110)  # px, of the circle around a shape
MIN_VISIBLE = 0.6  # part of a shape's area that neither the border nor later shapes hide
MIN_CONTRAST = 80  # distance of a shape's colours to what it is drawn on, in 0..255 BGR
PLACING_TRIES = 20
COLOR_TRIES = 50
SUPERSAMPLING = 4


class Shape(NamedTuple):
    """One drawn object. Its box and area ignore other shapes on top of it."""

    class_id: int  # index in CLASS_NAMES
    box: tuple[int, int, int, int]  # xyxy px, half-open, inside the image
    area: int  # px2 inside the image


def draw_picture(
    rng: np.random.Generator,
    image_size: tuple[int, int] = IMAGE_SIZE,
    *,
    diameters: tuple[float, float] = SHAPE_DIAMETERS,
    num_shapes: tuple[int, int] = NUM_SHAPES,
) -> tuple[np.ndarray, list[Shape]]:
    """Draw one picture with its objects.

    A shape that would leave an earlier one (or itself) with less than MIN_VISIBLE of its area
    in sight is placed elsewhere or left out, so every object in the picture has its box.

    Args:
        rng: the only source of randomness; the same state gives the same picture.
        image_size: (h, w) px.
        diameters: smallest and largest, px, of the circle around a shape.
        num_shapes: fewest and most that are tried.

    Returns:
        the picture, uint8 BGR (H, W, 3), and its shapes in drawing order.
    """
    picture = _background(rng, image_size)
    shapes: list[Shape] = []
    visible: list[np.ndarray] = []  # (H, W) bool of each shape
    needed: list[float] = []  # px2 of each shape that must stay visible
    for _ in range(rng.integers(num_shapes[0], num_shapes[1] + 1)):
        for _ in range(PLACING_TRIES):
            class_id = int(rng.integers(len(CLASS_NAMES)))
            diameter = math.exp(rng.uniform(*np.log(diameters)))
            contours = _contours(rng, class_id, diameter, image_size)
            coverage = cover(contours, image_size)
            mask = coverage >= 0.5
            left = [v & ~mask for v in visible] + [mask]
            least = [*needed, MIN_VISIBLE * _area(contours)]
            if all(v.sum() >= n for v, n in zip(left, least, strict=True)):
                visible, needed = left, least
                shapes.append(Shape(class_id, mask_box(mask), int(mask.sum())))
                _paint(rng, picture, coverage, diameter)
                break
    return _finish(rng, picture), shapes


def mask_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Half-open box (x0, y0, x1, y1) in px around the true pixels of a (H, W) mask.

    Raises:
        ValueError: if no pixel is true.
    """
    xs, ys = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if len(xs) == 0:
        raise ValueError(f"the mask of shape {mask.shape} is empty: it has no box")
    return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1


def cover(contours: list[np.ndarray], image_size: tuple[int, int]) -> np.ndarray:
    """Part of each pixel that lies inside a polygon.

    Args:
        contours: (n, 2) xy px each; a point inside an even number of them is outside.
        image_size: (h, w) px.

    Returns:
        float32 (H, W) in [0, 1].
    """
    height, width = image_size
    canvas = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), np.uint8)
    # OpenCV counts from the centre of the first pixel, and in sixteenths with shift=4.
    fine = [np.rint((c * SUPERSAMPLING - 0.5) * 16).astype(np.int32) for c in contours]
    cv2.fillPoly(canvas, fine, 255, shift=4)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)


def _contours(
    rng: np.random.Generator, class_id: int, diameter: float, image_size: tuple[int, int]
) -> list[np.ndarray]:
    height, width = image_size
    stretch = np.array([1, rng.uniform(0.82, 1)])
    turn = rng.uniform(0, 2 * math.pi)
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    centre = rng.uniform(0.03, 0.97, 2) * (width, height)
    outlines = _unit_outlines(rng, CLASS_NAMES[class_id])
    return [outline * stretch @ rotation * diameter / 2 + centre for outline in outlines]


def _unit_outlines(rng: np.random.Generator, name: str) -> list[np.ndarray]:
    """Outlines (n, 2) that touch the unit circle."""
    check_choice("class", name, CLASS_NAMES)
    if name == "circle":
        return [_regular(64)]
    if name == "square":
        return [_regular(4)]
    if name == "triangle":
        return [_regular(3)]
    if name == "star":
        radii = np.where(np.arange(10) % 2 == 0, 1, rng.uniform(0.38, 0.5))
        return [_regular(10) * radii[:, None]]
    return [_regular(64), _regular(64) * rng.uniform(0.5, 0.68)]  # ring


def _regular(corners: int) -> np.ndarray:
    angles = np.arange(corners) * (2 * math.pi / corners)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _area(contours: list[np.ndarray]) -> float:
    outer, *holes = (cv2.contourArea(c.astype(np.float32)) for c in contours)
    return outer - sum(holes)


def _paint(
    rng: np.random.Generator, picture: np.ndarray, coverage: np.ndarray, diameter: float
) -> None:
    """Blend a textured shape into the float picture, in colours that stand out from it."""
    x0, y0, x1, y1 = mask_box(coverage > 0)
    part, coverage = picture[y0:y1, x0:x1], coverage[y0:y1, x0:x1]
    under = part[coverage >= 0.5].mean(axis=0)
    for _ in range(COLOR_TRIES):
        color = _color(rng, saturation=(0.5, 1), value=(0.25, 1))
        second = np.clip(color * rng.uniform(0.45, 0.7) + rng.choice([0, 110]), 0, 255)
        if np.linalg.norm([color - under, second - under], axis=1).min() >= MIN_CONTRAST:
            break
    kind = rng.choice(["plain", "gradient", "stripes", "dots"])
    period = max(4, diameter * rng.uniform(0.15, 0.35))
    fill = _texture(rng, kind, part.shape[:2], (color, second), period)
    part += (fill - part) * coverage[:, :, None]


def _background(rng: np.random.Generator, image_size: tuple[int, int]) -> np.ndarray:
    """Float32 BGR (H, W, 3): a muted texture, and lines that belong to no object."""
    height, width = image_size
    value = rng.uniform(0.2, 0.9)
    values = max(value - 0.15, 0.0), min(value + 0.15, 1.0)
    first = _color(rng, saturation=(0, 0.4), value=values)
    colors = first, _color(rng, saturation=(0, 0.4), value=values)
    kind = rng.choice(["gradient", "stripes", "clouds", "clouds"])
    picture = _texture(rng, kind, image_size, colors, rng.uniform(8, 60))
    for _ in range(rng.integers(0, 5)):
        start, end = rng.integers(-20, (width + 20, height + 20), (2, 2)).tolist()
        color = _color(rng, saturation=(0, 1), value=(0.1, 1)).tolist()
        cv2.line(picture, start, end, color, int(rng.integers(1, 4)))
    # OpenCV smooths lines of 8-bit pictures only.
    return cv2.GaussianBlur(picture, (0, 0), 0.6)


def _texture(
    rng: np.random.Generator,
    kind: str,
    image_size: tuple[int, int],
    colors: tuple[np.ndarray, np.ndarray],
    period: float,
) -> np.ndarray:
    """Float32 (H, W, 3) mixture of two colours; `period` in px."""
    height, width = image_size
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    turn = rng.uniform(0, math.pi)
    along = xs * math.cos(turn) + ys * math.sin(turn)
    across = ys * math.cos(turn) - xs * math.sin(turn)
    if kind == "plain":
        mix = np.zeros_like(xs)
    elif kind == "gradient":
        mix = 0.5 + 0.5 * np.sin(along * (math.pi / (4 * period)))
    elif kind == "stripes":
        mix = 0.5 + 2 * np.sin(along * (2 * math.pi / period))
    elif kind == "dots":
        waves = np.sin(along * (2 * math.pi / period)), np.sin(across * (2 * math.pi / period))
        mix = 4 * waves[0] * waves[1] - 1
    else:
        cells = (max(2, round(height / period)), max(2, round(width / period)))
        coarse = rng.random(cells, np.float32)
        mix = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    mix = np.clip(mix, 0, 1).astype(np.float32)[:, :, None]
    return (colors[0] * (1 - mix) + colors[1] * mix).astype(np.float32)


def _color(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> np.ndarray:
    hsv = rng.random(), rng.uniform(*saturation), rng.uniform(*value)
    return np.array(colorsys.hsv_to_rgb(*hsv)[::-1]) * 255


def _finish(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 1))
    light = rng.uniform(0.8, 1.1)
    grain = rng.standard_normal(picture.shape, np.float32) * np.float32(rng.uniform(2, 9))
    return np.clip(np.rint(picture * light + grain), 0, 255).astype(np.uint8)
