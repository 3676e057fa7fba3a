"""Text on plates beside boxes, in any script. All images are uint8 BGR."""

import importlib.util
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]  # BGR

FONT = cv2.FONT_HERSHEY_SIMPLEX
# OpenCV 5 writes any script; older ones write ??? for what is not ASCII.
PUT_TEXT_IS_ASCII = int(cv2.__version__.split(".")[0]) < 5
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
CHUNK = 16  # places that are tried at a time
NEIGHBOURS = (8, 32)  # plates between which a place for another one is looked for


def line_width(height: int, width: int) -> int:
    """Px, for an image of that size."""
    return max(1, round(math.sqrt(height * width) / 420))


def font_scale(height: int, width: int) -> float:
    """OpenCV's, for an image of that size."""
    # Capital letters of 9 px at least; 22 px at scale 1.
    return max(0.42, math.sqrt(height * width) / 1550)


def put_labels(
    canvas: np.ndarray, texts: Sequence[str], boxes: np.ndarray, colors: Sequence[Color]
) -> None:
    """Write each text on a plate of its colour, beside or in its box.

    Args:
        canvas: uint8 BGR (H, W, 3); changed in place.
        texts: M; the last ones choose their places first, and lie on top.
        boxes: int (M, 4) xyxy, last pixels included.
        colors: M.
    """
    scale = font_scale(*canvas.shape[:2])
    pad = round(6 * scale)
    measured = [text_size(text, scale) for text in texts]
    sizes = [(width + 2 * pad, height + depth + 2 * pad) for width, height, depth in measured]
    places = place_plates(boxes, np.array(sizes, int).reshape(-1, 2), canvas.shape[:2])
    for box, place, size, color in zip(boxes, places, sizes, colors, strict=True):
        _lead(canvas, box, (*place, *(place + size - 1)), color)
    for text, (x, y), size, (_, height, _), color in zip(
        texts, places.tolist(), sizes, measured, colors, strict=True
    ):
        cv2.rectangle(canvas, (x, y), (x + size[0] - 1, y + size[1] - 1), color, cv2.FILLED)
        # Weights of the eye's response to blue, green and red.
        light = np.dot(color, (0.114, 0.587, 0.299)) > 125
        put_text(canvas, text, (x + pad, y + pad + height), scale, BLACK if light else WHITE)


def _lead(canvas: np.ndarray, box: np.ndarray, plate: tuple, color: Color) -> None:
    """A line from a plate to its box, where they do not touch."""
    touch = max(box[0], plate[0]) <= min(box[2], plate[2]) + 1
    if touch and max(box[1], plate[1]) <= min(box[3], plate[3]) + 1:
        return
    centre = np.add(plate[:2], plate[2:]) // 2
    nearest = np.clip(centre, box[:2], np.maximum(box[:2], box[2:]))
    width = line_width(*canvas.shape[:2])
    cv2.line(canvas, centre.tolist(), nearest.tolist(), color, width, cv2.LINE_AA)


def place_plates(boxes: np.ndarray, sizes: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Where plates lie: inside the image, near their boxes, and not on each other if they can.

    Args:
        boxes: int (M, 4) xyxy; the last ones choose first.
        sizes: int (M, 2), width and height of the plates.
        image_size: height and width.

    Returns:
        int (M, 2), upper left corners (x, y).
    """
    places = np.zeros_like(sizes)
    taken = np.zeros((0, 4), int)  # xyxy, half-open
    for i in range(len(boxes) - 1, -1, -1):
        width, height = sizes[i].tolist()
        highest = np.maximum((image_size[1] - width, image_size[0] - height), 0)
        first = _plate_corner(boxes[i].tolist(), (width, height), image_size)
        corner = _first_free(_beside(boxes[i], width, height, first), sizes[i], highest, taken)
        for count in NEIGHBOURS:
            if corner is None:
                between = _between(first, sizes[i], taken, count)
                corner = _first_free(between, sizes[i], highest, taken)
        places[i] = first if corner is None else corner
        taken = np.vstack([taken, [*places[i], *(places[i] + sizes[i])]])
    return places


def _first_free(
    corners: np.ndarray, size: np.ndarray, highest: np.ndarray, taken: np.ndarray
) -> np.ndarray | None:
    """The first of the corners (C, 2), moved into the image, where a plate covers no other."""
    corners = np.clip(corners, 0, highest)
    # Beyond the reach of them all nothing is covered.
    near = (taken[:, 2:] > corners.min(axis=0)) & (taken[:, :2] < corners.max(axis=0) + size)
    taken = taken[near.all(axis=1)]
    low, high = taken[:, :2] - size, taken[:, 2:]  # between them a corner covers something
    for some in np.split(corners, range(CHUNK, len(corners), CHUNK)):  # the first mostly do
        covers = (some[:, None] > low) & (some[:, None] < high)
        free = ~covers.all(axis=2).any(axis=1)
        if free.any():
            return some[free.argmax()]
    return None


def _beside(box: np.ndarray, width: int, height: int, first: tuple[int, int]) -> np.ndarray:
    """Corners of a plate that touches its box, the best first."""
    x0, y0, x1, y1 = box.tolist()
    right = x1 + 1 - width
    rows = (y0 - height, y0, y1 + 1, y1 + 1 - height)
    return np.array([first, *((x, y) for y in rows for x in (x0, right))])


def _between(first: tuple[int, int], size: np.ndarray, taken: np.ndarray, count: int) -> np.ndarray:
    """Corners of a plate that touches some of the `count` plates nearest to `first`, best first."""
    if len(taken) > count:
        distances = np.abs((taken[:, :2] + taken[:, 2:]) / 2 - first).sum(axis=1)
        taken = taken[np.argpartition(distances, count)[:count]]
    xs = np.concatenate([[first[0]], taken[:, 2], taken[:, 0] - size[0]])
    ys = np.concatenate([[first[1]], taken[:, 3], taken[:, 1] - size[1]])
    corners = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    return corners[np.argsort(np.abs(corners - first).sum(axis=1), kind="stable")]


def _plate_corner(
    box: list[int], size: tuple[int, int], image_size: tuple[int, int]
) -> tuple[int, int]:
    """Upper left corner (x, y) of a plate of `size` (w, h) for a box (xyxy): above it if there
    is room, else inside a tall box and below a flat one, which it would hide.
    """
    x0, y0, _, y1 = box
    width, height = size
    y = y0 if y1 - y0 > 3 * height else y1 + 1
    if y0 >= height:
        y = y0 - height
    return max(0, min(x0, image_size[1] - width)), max(0, min(y, image_size[0] - height))


def text_size(text: str, scale: float) -> tuple[int, int, int]:
    """Width, height above the base line, and depth below it, in px."""
    if PUT_TEXT_IS_ASCII and not text.isascii():
        _left, top, right, bottom = _font(scale).getbbox(text, anchor="ls")
        return math.ceil(right), math.ceil(-top), max(0, math.ceil(bottom))
    (width, height), descent = cv2.getTextSize(text, FONT, scale, _text_thickness(scale))
    return width, height, descent


def put_text(
    canvas: np.ndarray, text: str, origin: tuple[int, int], scale: float, color: Color
) -> None:
    """Write text whose base line starts at `origin` (x, y)."""
    if PUT_TEXT_IS_ASCII and not text.isascii():
        width, height, descent = text_size(text, scale)
        x, y = max(0, origin[0] - 1), max(0, origin[1] - height)
        part = canvas[y : origin[1] + descent, x : origin[0] + width + 1]
        if part.size:
            picture = Image.fromarray(part)  # the part alone, because this copies
            offset = origin[0] - x, origin[1] - y
            ImageDraw.Draw(picture).text(offset, text, color, _font(scale), anchor="ls")
            part[:] = np.asarray(picture)
    else:
        thickness = _text_thickness(scale)
        cv2.putText(canvas, text, origin, FONT, scale, color, thickness, cv2.LINE_AA)


def _text_thickness(scale: float) -> int:
    return max(1, round(1.6 * scale))


@lru_cache(maxsize=16)
def _font(scale: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Matplotlib's has Greek and Cyrillic letters, too; it need not be there.
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib is None or matplotlib.origin is None:
        return ImageFont.load_default(round(30 * scale))
    path = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), round(30 * scale))
