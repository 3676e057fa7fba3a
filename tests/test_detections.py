"""Detections as plain arrays."""

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances

from fcos_d2.detections import ImageDetections

BOXES = [[1.5, 2.0, 30.25, 40.0], [0.0, 0.0, 8.0, 8.0]]


def found(number=2):
    instances = Instances((50, 60))
    instances.pred_boxes = Boxes(torch.tensor(BOXES)[:number])
    instances.scores = torch.tensor([0.75, 0.5])[:number]
    instances.pred_classes = torch.tensor([2, 0])[:number]
    return ImageDetections.of(instances, ["cat", "dog", "cow"])


def test_arrays():
    detections = found()
    assert len(detections) == 2
    assert detections.boxes.dtype == detections.scores.dtype == np.float32
    assert detections.boxes.tolist() == BOXES
    assert detections.scores.tolist() == [0.75, 0.5]
    assert detections.classes.dtype == np.int64 and detections.classes.tolist() == [2, 0]
    assert detections.class_names.tolist() == ["cow", "cat"]


def test_nothing_found():
    detections = found(0)
    assert detections.boxes.shape == (0, 4) and detections.classes.shape == (0,)
    assert detections.class_names.tolist() == []


@pytest.mark.parametrize("number", [0, 2])
def test_supervision_takes_them(number):
    supervision = pytest.importorskip("supervision")
    detections = found(number)
    taken = supervision.Detections(
        xyxy=detections.boxes,
        confidence=detections.scores,
        class_id=detections.classes,
        data={"class_name": detections.class_names},
    )
    assert len(taken) == number
    confident = taken[taken.confidence > 0.6]
    assert confident["class_name"].tolist() == ["cow"][:number]
    assert taken.area.tolist() == pytest.approx([28.75 * 38.0, 64.0][:number])
