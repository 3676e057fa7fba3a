"""Boxes with labels on an image, and many images on one sheet. All images are uint8 BGR."""

import colorsys
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from ..text import shown
from .labels import WHITE, Color, font_scale, line_width, put_labels, put_text, text_size

GOLDEN_RATIO = 0.618034
SHEET_COLOR, TITLE_COLOR = WHITE, (40, 40, 40)


@lru_cache(maxsize=1024)
def class_color(class_id: int) -> Color:
    """The colour of a class, always the same, and clearly different from its neighbours'.

    Steps of the golden ratio spread the hues of any number of classes evenly.

    Args:
        class_id: in [0, inf).

    Returns:
        (blue, green, red) in 0..255.
    """
    hue = (0.58 + class_id * GOLDEN_RATIO) % 1
    # Three shades, because hues get close after a dozen classes.
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
    """Draw boxes with class names and scores, the most confident on top.

    Labels are drawn over all boxes, and do not cover each other as long as there is room near
    their boxes: the most confident object chooses first. A line joins a label that had to move away
    to its box.
    Line width and text grow with the image. Boxes without scores (ground truth) are drawn from
    large to small.

    Args:
        image: uint8 BGR (H, W, 3); it is not changed.
        boxes: (M, 4) xyxy px.
        class_ids: (M,) ints in [0, K).
        scores: (M,) in [0, 1], or None.
        class_names: K names.
        class_colors: K colours; None takes `class_color`.
        track_ids: (M,) ints, the same for an object in all frames; written in the label, and the
            colour then follows the object, not its class. None: objects are not tracked.

    Returns:
        a new image of the same shape.

    Raises:
        ValueError: if the shapes do not match, or a class has no name.
    """
    boxes, class_ids = np.asarray(boxes, np.float64), np.asarray(class_ids)
    scores = None if scores is None else np.asarray(scores, np.float64)
    _check_detections(image, boxes, class_ids, scores, class_names, track_ids)
    texts = _texts(class_ids, scores, class_names, track_ids)
    color_ids, colors = (class_ids, class_colors) if track_ids is None else (track_ids, None)
    canvas = np.ascontiguousarray(image).copy()
    height, width = canvas.shape[:2]
    # Beyond the border by one line width, so that a cut-off box shows an open side.
    line = line_width(height, width)
    corners = np.clip(boxes, -line, [width + line, height + line] * 2)
    corners = np.rint(corners - [0, 0, 1, 1]).astype(int)  # the last pixels are inside the box
    sizes = boxes[:, 2:] - boxes[:, :2]
    order = np.argsort(-sizes.prod(axis=1) if scores is None else scores, kind="stable")
    ids = [int(color_ids[i]) for i in order]
    chosen = [class_color(i) if colors is None else colors[i] for i in ids]
    for box, color in zip(corners[order].tolist(), chosen, strict=True):
        cv2.rectangle(canvas, box[:2], box[2:], color, line)
    put_labels(canvas, [texts[i] for i in order], corners[order], chosen)
    return canvas


def contact_sheet(
    images: Sequence[np.ndarray],
    columns: int,
    titles: Sequence[str] | None = None,
    cell_size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Put images into a grid, row by row, each below its title.

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
    gap = 2 * line_width(*cell_size)
    cells = [
        cv2.copyMakeBorder(c, gap, gap, gap, gap, cv2.BORDER_CONSTANT, value=WHITE) for c in cells
    ]
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


def resized(image: np.ndarray, ratio: float) -> np.ndarray:
    """A picture (H, W, 3), so many times as large, for people to look at."""
    height, width = (max(1, round(side * ratio)) for side in image.shape[:2])
    method = cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)


def _cell(image: np.ndarray, cell_size: tuple[int, int]) -> np.ndarray:
    height, width = cell_size
    fitted = resized(image, min(height / image.shape[0], width / image.shape[1]))
    cell = np.full((height, width, 3), SHEET_COLOR, np.uint8)
    left, top = (width - fitted.shape[1]) // 2, (height - fitted.shape[0]) // 2
    cell[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return cell


def _title_bar(title: str, cell_size: tuple[int, int]) -> np.ndarray:
    height, width = cell_size
    scale = font_scale(height, width)
    bar = np.full((round(44 * scale), width, 3), SHEET_COLOR, np.uint8)
    title = shown(title)
    # A long title is written smaller rather than cut.
    scale = min(scale, scale * width / max(1, text_size(title, scale)[0]))
    put_text(bar, title, (0, round(0.7 * len(bar))), scale, TITLE_COLOR)
    return bar
