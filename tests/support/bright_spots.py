"""A detector that can be worked out by hand: each bright spot of a picture is an object."""

import cv2
import numpy as np
import torch
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances
from torch import nn

from fcos_d2.modeling.selection import Detections


class BrightSpots(nn.Module):
    """Connected pixels above 100 are an object of class 0; its brightness / 255 is the score."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[tuple[int, ...]]] = []  # shapes of the pictures of each call

    def forward(self, batched_inputs: list[dict]) -> list[dict]:
        self.batches.append([tuple(x["image"].shape[1:]) for x in batched_inputs])
        return [{"instances": self._detect(inputs)} for inputs in batched_inputs]

    def _detect(self, inputs: dict) -> Instances:
        image = inputs["image"].permute(1, 2, 0).numpy()
        mask = (image.max(axis=2) > 100).astype(np.uint8)
        number, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        boxes, scores = [], []
        for x, y, w, h, _ in stats[1:number]:
            spot = image[y : y + h, x : x + w]
            boxes.append([x, y, x + w, y + h])
            scores.append(float(spot.max()) / 255)
        found = Instances(image.shape[:2])
        found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        found.scores = torch.tensor(scores, dtype=torch.float32)
        found.pred_classes = torch.zeros(len(boxes), dtype=torch.int64)
        return detector_postprocess(found, inputs["height"], inputs["width"])


def picture(size: tuple[int, int], *boxes: tuple[int, int, int, int]) -> torch.Tensor:
    """(3, h, w) uint8, black but for the boxes (xyxy px), which are white."""
    image = torch.zeros(3, *size, dtype=torch.uint8)
    for x0, y0, x1, y1 in boxes:
        image[:, y0:y1, x0:x1] = 255
    return image


def detections(*rows: list[float]) -> Detections:
    """From (x0, y0, x1, y1, score, class)."""
    fields = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    classes = fields[:, 5].long()
    return Detections(fields[:, :4], fields[:, 4], classes, torch.full_like(classes, -1))
