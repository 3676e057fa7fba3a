"""Pictures of what a detector learns: the locations of every level that learn each box."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from fcos_deploy.vision import BLACK, WHITE, Color, class_color, contact_sheet, draw_detections

from ..modeling import FCOSProposalGenerator, SizeRangeAssigner
from ..modeling.geometry import level_locations
from ..modeling.matching import Truth

# Colours of the levels, finest first, chosen to differ from each other also in grey.
LEVEL_COLORS: tuple[Color, ...] = (
    (0, 215, 255),
    (255, 191, 0),
    (80, 80, 255),
    (60, 220, 60),
    (255, 80, 200),
    (200, 200, 200),
)


def positive_locations(
    gt_boxes: Tensor, padded_size: tuple[int, int], generator: FCOSProposalGenerator
) -> list[tuple[Tensor, Tensor]]:
    """The locations that learn a box, level by level.

    Args:
        gt_boxes: (M, 4) xyxy, px.
        padded_size: height and width of the batch, px.
        generator: its assigner counts, which must not need predictions.

    Returns:
        For each level the locations (P, 2) x and y px, and the boxes (P,) in [0, M) they learn.
    """
    grids = generator.grids(padded_size)
    classes = torch.zeros(len(gt_boxes), dtype=torch.int64)  # no matter which
    matched_idxs = generator.assigner.assign(Truth(gt_boxes, classes, [len(gt_boxes)]), grids)[0]
    levels = []
    for grid, matched in zip(
        grids, matched_idxs.split([grid.num_locations for grid in grids]), strict=True
    ):
        positive = matched >= 0
        levels.append((level_locations(grid, like=gt_boxes)[positive], matched[positive]))
    return levels


def draw_assignment(
    image: np.ndarray,
    gt_boxes: Tensor,
    gt_classes: Tensor,
    class_names: Sequence[str],
    generator: FCOSProposalGenerator,
    padded_size: tuple[int, int] | None = None,
    zoom: int = 1,
) -> tuple[np.ndarray, list[int]]:
    """An image with its boxes, and a dot for every location that learns one of them.

    Dots have the colour of their level, grow with its stride, and have a rim in the colour of the
    class. A box that nothing learns is crossed out.

    Args:
        image: uint8 BGR (H, W, 3).
        gt_boxes: (M, 4) xyxy, px.
        gt_classes: (M,) int64.
        class_names: K names.
        generator: of the detector.
        padded_size: of the batch; None: of the image.
        zoom: the picture is so many times larger than the image.

    Returns:
        The picture, and the number of positive locations of each level; the boxes alone, and no
        numbers, where the assigner needs predictions.
    """
    boxes = gt_boxes * zoom
    large = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
    canvas = draw_detections(large, boxes.numpy(), gt_classes.numpy(), None, class_names)
    if generator.assigner.needs_predictions:
        return canvas, []
    levels = positive_locations(gt_boxes, padded_size or image.shape[:2], generator)
    learned = torch.zeros(len(gt_boxes), dtype=torch.bool)
    for level, ((locations, matched), stride) in enumerate(
        zip(levels, generator.strides, strict=True)
    ):
        learned[matched] = True
        radius = max(2, round(stride * zoom / 6))
        for (x, y), box in zip(locations.tolist(), matched.tolist(), strict=True):
            center = round(x * zoom), round(y * zoom)
            rim = class_color(int(gt_classes[box]))
            cv2.circle(canvas, center, radius + 1, rim, cv2.FILLED, cv2.LINE_AA)
            cv2.circle(canvas, center, radius, level_color(level), cv2.FILLED, cv2.LINE_AA)
    for x1, y1, x2, y2 in boxes[~learned].round().int().tolist():
        cv2.line(canvas, (x1, y1), (x2, y2), BLACK, 1, cv2.LINE_AA)
        cv2.line(canvas, (x1, y2), (x2, y1), BLACK, 1, cv2.LINE_AA)
    return canvas, [len(matched) for _, matched in levels]


def level_color(level: int) -> Color:
    """The colour of a level, counted from the finest."""
    return LEVEL_COLORS[level % len(LEVEL_COLORS)]


def legend(generator: FCOSProposalGenerator, width: int) -> np.ndarray:
    """A strip that tells the colour, stride and size range of each level; uint8 BGR."""
    assigner = generator.assigner
    if assigner.needs_predictions:
        row = np.full((26, width, 3), WHITE, np.uint8)
        text = f"{type(assigner).__name__}: the locations follow from predictions"
        cv2.putText(row, text, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, BLACK, 1, cv2.LINE_AA)
        return row
    rows = []
    for level, (name, stride) in enumerate(
        zip(generator.in_features, generator.strides, strict=True)
    ):
        row = np.full((26, width, 3), WHITE, np.uint8)
        cv2.circle(row, (16, 13), 8, level_color(level), cv2.FILLED, cv2.LINE_AA)
        text = f"{name}: stride {stride} px"
        if isinstance(assigner, SizeRangeAssigner):
            low, high = assigner.size_ranges[level]
            text += f", farthest side {low:g} to {high:g} px"
        where = (34, 18)
        cv2.putText(row, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.5, BLACK, 1, cv2.LINE_AA)
        rows.append(row)
    return np.vstack(rows)


def assignment_sheet(
    pictures: list[np.ndarray], titles: list[str], generator: FCOSProposalGenerator, columns: int
) -> np.ndarray:
    """Pictures of `draw_assignment` in a grid, with the legend below."""
    sheet = contact_sheet(pictures, columns, titles)
    return np.vstack([sheet, legend(generator, sheet.shape[1])])
