"""A detector that can be worked out by hand: each bright spot of a picture is an object."""

import cv2
import numpy as np
import torch
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances
from torch import nn


class BrightSpots(nn.Module):
    """Connected pixels above 100 are an object: its box, and its brightness / 255 as the score.

    Red spots (the last channel of BGR alone) are of class 1, others of class 0.
    """

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
        boxes, scores, classes = [], [], []
        for x, y, w, h, _ in stats[1:number]:
            spot = image[y : y + h, x : x + w]
            boxes.append([x, y, x + w, y + h])
            scores.append(float(spot.max()) / 255)
            classes.append(int(spot[..., 0].max() < 100))
        found = Instances(image.shape[:2])
        found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        found.scores = torch.tensor(scores, dtype=torch.float32)
        found.pred_classes = torch.tensor(classes, dtype=torch.int64)
        return detector_postprocess(found, inputs["height"], inputs["width"])


def picture(
    size: tuple[int, int], *boxes: tuple[int, int, int, int], bgr: object = 255
) -> torch.Tensor:
    """(3, h, w) uint8, black but for the boxes (xyxy px)."""
    image = np.zeros((*size, 3), np.uint8)
    for x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1] = bgr
    return torch.from_numpy(image.transpose(2, 0, 1).copy())
