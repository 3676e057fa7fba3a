"""The picture of an explanation: an object, the locations around it, and what they say."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from fcos_deploy.vision import BLACK, WHITE, contact_sheet, draw_detections, resized

from ...visualization.assignment import level_color
from .explanation import Row
from .learned import Learned
from .seen import SeenView
from .verdict import LEAST_OVERLAP, Judge

PANEL = 360  # px, the longer side of a panel
MARGIN = 0.8  # of the object's longer side, around it
LEAST_CROP = 24  # px of the image
OBJECT, CANDIDATE = WHITE, (0, 215, 255)
VEIL = 0.55  # of a heat map over the image


class Crop:
    """A part of an image, enlarged."""

    def __init__(self, image: np.ndarray, box: Sequence[float]) -> None:
        """`image` BGR (H, W, 3), and the object's box, xyxy px."""
        height, width = image.shape[:2]
        margin = max(MARGIN * max(box[2] - box[0], box[3] - box[1]), LEAST_CROP / 2)
        self.x0, self.y0 = (max(0, int(x - margin)) for x in box[:2])
        self.x1 = min(width, int(np.ceil(box[2] + margin)))
        self.y1 = min(height, int(np.ceil(box[3] + margin)))
        self.zoom = PANEL / max(self.x1 - self.x0, self.y1 - self.y0)
        self.picture = resized(image[self.y0 : self.y1, self.x0 : self.x1], self.zoom)

    def place(self, xy: np.ndarray) -> np.ndarray:
        """Points (..., 2) in px of the image, in px of the enlarged crop."""
        return (xy - [self.x0, self.y0]) * self.zoom

    def boxes(self, boxes: Tensor) -> np.ndarray:
        """Boxes (D, 4) likewise."""
        return self.place(boxes.cpu().double().numpy().reshape(-1, 2, 2)).reshape(-1, 4)


def draw(judge: Judge, i: int, location: int, learned: Learned, rows: list[Row]) -> np.ndarray:
    """Three panels: the object with detections and locations, class probability, quality.

    Args:
        judge: of the image.
        i: the object.
        location: counted over all views, whose level is shown.
        learned: in the view of this location.
        rows: of the table; the boxes of those that fit are drawn.

    Returns:
        uint8 BGR (h, w, 3).
    """
    box = judge.objects.boxes[i].tolist()
    crop, view = Crop(judge.seen.image, box), judge.seen.view_of(location)
    level, _ = view.level_of(location)
    name, class_idx = judge.seen.generator.in_features[level], int(judge.objects.classes[i])
    _, cls_logits, _, quality_logits = view.predictions
    class_name = judge.seen.class_names[class_idx]
    panels = [_objects(judge, i, crop, view, level, learned, rows)]
    titles = [f"{class_name}, locations of {name}"]
    maps = [(f"class probability, {name}", cls_logits[level][:, class_idx].sigmoid())]
    if quality_logits:
        maps.append((f"quality, {name}", quality_logits[level].sigmoid()))
    for title, values in maps:
        panel, most = _heat(crop, view, level, values)
        panels.append(_outlined(panel, crop, box))
        titles.append(f"{title}: 0 to {most:.2f}")
    return contact_sheet(panels, len(panels), titles)


def _outlined(panel: np.ndarray, crop: Crop, box: Sequence[float]) -> np.ndarray:
    """With the object's box, white on black, so that it is seen on anything."""
    (corners,) = crop.boxes(torch.tensor([box])).round().astype(int).tolist()
    cv2.rectangle(panel, corners[:2], corners[2:], BLACK, 4, cv2.LINE_AA)
    cv2.rectangle(panel, corners[:2], corners[2:], OBJECT, 2, cv2.LINE_AA)
    return panel


def _objects(
    judge: Judge,
    i: int,
    crop: Crop,
    view: SeenView,
    level: int,
    learned: Learned,
    rows: list[Row],
) -> np.ndarray:
    found = judge.trace.found
    boxes = crop.boxes(found.pred_boxes.tensor)
    height, width = crop.picture.shape[:2]
    near = (judge.overlaps[i] >= LEAST_OVERLAP).numpy()
    panel = draw_detections(
        crop.picture,
        boxes[near],
        found.pred_classes.numpy()[near],
        found.scores.numpy()[near],
        judge.seen.class_names,
    )
    if rows and rows[0].iou >= judge.iou:
        (corners,) = crop.boxes(torch.tensor([rows[0].box])).round().astype(int).tolist()
        cv2.rectangle(panel, corners[:2], corners[2:], CANDIDATE, 2, cv2.LINE_AA)
    panel = _outlined(panel, crop, judge.objects.boxes[i].tolist())
    learns = learned.together.split(view.counts)[level]
    points = view.to_image_points(view.predictions.locations[level]).cpu().double().numpy()
    for (x, y), here in zip(crop.place(points).round().astype(int), learns.tolist(), strict=True):
        if 0 <= x < width and 0 <= y < height:
            cv2.circle(panel, (x, y), 5 if here else 1, BLACK, cv2.FILLED, cv2.LINE_AA)
            if here:
                cv2.circle(panel, (x, y), 4, level_color(level), cv2.FILLED, cv2.LINE_AA)
    return panel


def _heat(crop: Crop, view: SeenView, level: int, values: Tensor) -> tuple[np.ndarray, float]:
    """The crop with a value (Hi * Wi,) of each cell over it, and the largest value in sight."""
    grid = view.grids[level]
    height, width = crop.picture.shape[:2]
    region, (region_height, region_width) = view.view.region, view.region_size
    x = (np.arange(width) + 0.5) / crop.zoom + crop.x0 - region.x0
    y = (np.arange(height) + 0.5) / crop.zoom + crop.y0 - region.y0
    shown = ((x >= 0) & (x < region_width))[None] & ((y >= 0) & (y < region_height))[:, None]
    x = region_width - x if view.view.flipped else x
    x, y = x * view.input_size[1] / region_width, y * view.input_size[0] / region_height
    columns = ((x - grid.offset) / grid.step[0]).round().astype(int).clip(0, grid.width - 1)
    rows = ((y - grid.offset) / grid.step[1]).round().astype(int).clip(0, grid.height - 1)
    cells = values.reshape(grid.height, grid.width).cpu().float().numpy()
    heat = np.where(shown, cells[rows[:, None], columns[None]], 0)
    most = float(heat.max())
    grey = (255 * heat / max(most, 1e-9)).astype(np.uint8)
    coloured = cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)
    mixed = cv2.addWeighted(coloured, VEIL, crop.picture, 1 - VEIL, 0)
    return np.where(shown[..., None], mixed, crop.picture), most
