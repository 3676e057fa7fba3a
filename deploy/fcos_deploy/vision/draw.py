"""Boxes with labels on an image, and many images on one sheet. All images are uint8 BGR."""

import colorsys
import importlib.util
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..text import shown

Color = tuple[int, int, int]  # BGR

GOLDEN_RATIO = 0.618034
FONT = cv2.FONT_HERSHEY_SIMPLEX
# OpenCV 5 writes any script; older ones write ??? for what is not ASCII.
PUT_TEXT_IS_ASCII = int(cv2.__version__.split(".")[0]) < 5
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
SHEET_COLOR, TITLE_COLOR = WHITE, (40, 40, 40)


@lru_cache(maxsize=1024)
def class_color(class_id: int) -> Color:
    """The colour of a class, always the same, and far from those of its neighbours.

    Steps of the golden ratio spread the hues of any number of classes evenly.

    Args:
        class_id: in [0, inf).
    Returns:
        (blue, green, red) in 0..255.
    """
    hue = (0.58 + class_id * GOLDEN_RATIO) % 1
    # Three shades, for hues get close after a dozen classes.
    saturation, value = ((0.85, 0.95), (0.6, 1.0), (1.0, 0.7))[class_id // 8 % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * blue), round(255 * green), round(255 * red)


def draw_detections(
    image: np.ndarray,
    boxes: np.ndarray,
    class_ids: np.ndarray,
    scores: np.ndarray | None,
    class_names: Sequence[str],
    class_colors: Sequence[Color] | None = None,
    track_ids: np.ndarray | None = None,
) -> np.ndarray:
    """Draw boxes with class names and scores, the surest ones on top.

    Line width and text grow with the image. Boxes without scores (ground truth) are drawn from
    large to small.

    Args:
        image: uint8 BGR (H, W, 3); it is not changed.
        boxes: (M, 4) xyxy px.
        class_ids: (M,) ints in [0, K).
        scores: (M,) in [0, 1], or None.
        class_names: K names.
        class_colors: K colours; None takes `class_color`.
        track_ids: (M,) ints, the same for an object in all frames: it is written, and the colour
            is that of the object, not of its class. None: there are none.
    Returns:
        a new image of the same shape.
    Raises:
        ValueError: if the shapes do not fit each other, or a class has no name.
    """
    boxes, class_ids = np.asarray(boxes, np.float64), np.asarray(class_ids)
    scores = None if scores is None else np.asarray(scores, np.float64)
    _check_detections(image, boxes, class_ids, scores, class_names, track_ids)
    texts = _texts(class_ids, scores, class_names, track_ids)
    color_ids, colors = (class_ids, class_colors) if track_ids is None else (track_ids, None)
    canvas = np.ascontiguousarray(image).copy()
    height, width = canvas.shape[:2]
    # Beyond the border by one line width, so that a cut-off box shows an open side.
    line = _line_width(height, width)
    corners = np.clip(boxes, -line, [width + line, height + line] * 2)
    corners = np.rint(corners - [0, 0, 1, 1]).astype(int)  # the last pixels are inside the box
    sizes = boxes[:, 2:] - boxes[:, :2]
    order = np.argsort(-sizes.prod(axis=1) if scores is None else scores, kind="stable")
    for i in order:
        color_id = int(color_ids[i])
        color = class_color(color_id) if colors is None else colors[color_id]
        cv2.rectangle(canvas, corners[i, :2].tolist(), corners[i, 2:].tolist(), color, line)
        _put_label(canvas, texts[i], corners[i].tolist(), color)
    return canvas


def contact_sheet(
    images: Sequence[np.ndarray],
    columns: int,
    titles: Sequence[str] | None = None,
    cell_size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Put images into a grid, row by row, each with its title above.

    Args:
        images: uint8 BGR (Hi, Wi, 3) each.
        columns: images per row.
        titles: one per image, or None.
        cell_size: (h, w) px into which each image is fitted; None for the largest h and w.
    Returns:
        uint8 BGR image.
    Raises:
        ValueError: if there is no image or column, or not one title per image.
    """
    if not images or columns < 1:
        raise ValueError(f"need images and columns, got {len(images)} images, {columns=}")
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"need one title per image, got {len(titles)} for {len(images)}")
    if cell_size is None:
        cell_size = max(i.shape[0] for i in images), max(i.shape[1] for i in images)
    cells = [_cell(image, cell_size) for image in images]
    if titles is not None:
        bars = [_title_bar(title, cell_size) for title in titles]
        cells = [np.vstack(pair) for pair in zip(bars, cells, strict=True)]
    blank = np.full_like(cells[0], SHEET_COLOR)
    cells += [blank] * (-len(cells) % columns)
    gap = 2 * _line_width(*cell_size)
    cells = [cv2.copyMakeBorder(c, *[gap] * 4, cv2.BORDER_CONSTANT, value=WHITE) for c in cells]
    return np.vstack([np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)])


def _check_detections(
    image: np.ndarray,
    boxes: np.ndarray,
    class_ids: np.ndarray,
    scores: np.ndarray | None,
    class_names: Sequence[str],
    track_ids: np.ndarray | None,
) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must be uint8 (H, W, 3), got {image.dtype} {image.shape}")
    num = len(class_ids)
    if boxes.shape != (num, 4) and not (num == 0 and boxes.size == 0):
        raise ValueError(f"boxes must be ({num}, 4), as there are classes, got {boxes.shape}")
    if scores is not None and scores.shape != (num,):
        raise ValueError(f"scores must be ({num},), as there are classes, got {scores.shape}")
    if track_ids is not None and len(track_ids) != num:
        raise ValueError(f"need {num} track_ids, as there are classes, got {len(track_ids)}")
    for class_id in class_ids:
        if not 0 <= class_id < len(class_names):
            raise ValueError(f"class {class_id} has no name: there are {len(class_names)} names")


def _texts(
    class_ids: np.ndarray,
    scores: np.ndarray | None,
    class_names: Sequence[str],
    track_ids: np.ndarray | None,
) -> list[str]:
    """Name, number and score of each object, as far as they are known."""
    texts = [shown(class_names[class_id]) for class_id in class_ids]
    if track_ids is not None:
        texts = [f"{text} #{track_id}" for text, track_id in zip(texts, track_ids, strict=True)]
    if scores is not None:
        texts = [f"{text} {score:.0%}" for text, score in zip(texts, scores, strict=True)]
    return texts


def _line_width(height: int, width: int) -> int:
    return max(1, round(math.sqrt(height * width) / 420))


def _font_scale(height: int, width: int) -> float:
    # Capital letters of 9 px at least; 22 px at scale 1.
    return max(0.42, math.sqrt(height * width) / 1550)


def _put_label(canvas: np.ndarray, text: str, box: list[int], color: Color) -> None:
    """Write text on a plate of the colour, as near to the box (xyxy) as the image lets it."""
    scale = _font_scale(*canvas.shape[:2])
    pad = round(6 * scale)
    text_width, text_height, descent = _text_size(text, scale)
    size = text_width + 2 * pad, text_height + descent + 2 * pad
    x, y = _plate_corner(box, size, canvas.shape[:2])
    cv2.rectangle(canvas, (x, y), (x + size[0] - 1, y + size[1] - 1), color, cv2.FILLED)
    # Weights of the eye's response to blue, green and red.
    light = np.dot(color, (0.114, 0.587, 0.299)) > 125
    _put_text(canvas, text, (x + pad, y + pad + text_height), scale, BLACK if light else WHITE)


def _plate_corner(
    box: list[int], size: tuple[int, int], image_size: tuple[int, int]
) -> tuple[int, int]:
    """Upper left corner (x, y) of a plate of `size` (w, h) for a box (xyxy): above it if there
    is room, else inside a tall box and below a flat one, which it would hide."""
    x0, y0, _, y1 = box
    width, height = size
    if y0 >= height:
        y = y0 - height
    else:
        y = y0 if y1 - y0 > 3 * height else y1 + 1
    return max(0, min(x0, image_size[1] - width)), max(0, min(y, image_size[0] - height))


def _text_size(text: str, scale: float) -> tuple[int, int, int]:
    """Width, height above the base line, and depth below it, in px."""
    if PUT_TEXT_IS_ASCII and not text.isascii():
        left, top, right, bottom = _font(scale).getbbox(text, anchor="ls")
        return math.ceil(right), math.ceil(-top), max(0, math.ceil(bottom))
    (width, height), descent = cv2.getTextSize(text, FONT, scale, _text_thickness(scale))
    return width, height, descent


def _put_text(
    canvas: np.ndarray, text: str, origin: tuple[int, int], scale: float, color: Color
) -> None:
    """Write text whose base line starts at `origin` (x, y)."""
    if PUT_TEXT_IS_ASCII and not text.isascii():
        width, height, descent = _text_size(text, scale)
        x, y = max(0, origin[0] - 1), max(0, origin[1] - height)
        part = canvas[y : origin[1] + descent, x : origin[0] + width + 1]
        if part.size:
            picture = Image.fromarray(part)  # the part alone, for this copies
            offset = origin[0] - x, origin[1] - y
            ImageDraw.Draw(picture).text(offset, text, color, _font(scale), anchor="ls")
            part[:] = np.asarray(picture)
    else:
        thickness = _text_thickness(scale)
        cv2.putText(canvas, text, origin, FONT, scale, color, thickness, cv2.LINE_AA)


def _text_thickness(scale: float) -> int:
    return max(1, round(1.6 * scale))


@lru_cache(maxsize=16)
def _font(scale: float) -> ImageFont.FreeTypeFont:
    # Matplotlib's has Greek and Cyrillic letters, too; it need not be there.
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib is None:
        return ImageFont.load_default(round(30 * scale))
    path = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), round(30 * scale))


def _cell(image: np.ndarray, cell_size: tuple[int, int]) -> np.ndarray:
    height, width = cell_size
    ratio = min(height / image.shape[0], width / image.shape[1])
    fitted = max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio))
    method = cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC
    cell = np.full((height, width, 3), SHEET_COLOR, np.uint8)
    left, top = (width - fitted[0]) // 2, (height - fitted[1]) // 2
    part = cell[top : top + fitted[1], left : left + fitted[0]]
    part[:] = cv2.resize(image, fitted, interpolation=method)
    return cell


def _title_bar(title: str, cell_size: tuple[int, int]) -> np.ndarray:
    height, width = cell_size
    scale = _font_scale(height, width)
    bar = np.full((round(44 * scale), width, 3), SHEET_COLOR, np.uint8)
    title = shown(title)
    # A long title is written smaller rather than cut.
    scale = min(scale, scale * width / max(1, _text_size(title, scale)[0]))
    _put_text(bar, title, (0, round(0.7 * len(bar))), scale, TITLE_COLOR)
    return bar
