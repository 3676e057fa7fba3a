"""The objects of an image, and which of them the metric finds among detections."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from detectron2.structures import Instances
from torch import Tensor

from ...datasets.ids import Id
from ..coco_boxes import box_rows
from ..coco_limits import COCO_LIMIT
from ..coco_truth import hotcoco


@dataclass(frozen=True, kw_only=True)
class Objects:
    """The M annotations of an image.

    Attributes:
        boxes: (M, 4) float64 xyxy px of the image.
        classes: (M,) int64, class numbers of the detector.
        crowd: (M,) bool, which are regions of many and no object to find.
        ids: M ids of their file, or none.
    """

    boxes: Tensor
    classes: Tensor
    crowd: Tensor
    ids: Sequence[Id] = field(default_factory=tuple)

    def __len__(self) -> int:
        return len(self.boxes)

    def only(self, i: int) -> "Objects":
        """One of them alone."""
        one = slice(i, i + 1)
        boxes, classes, crowd = self.boxes[one], self.classes[one], self.crowd[one]
        return Objects(boxes=boxes, classes=classes, crowd=crowd, ids=self.ids[one])

    @classmethod
    def of(cls, boxes: Sequence[Sequence[float]], classes: Sequence[int]) -> "Objects":
        """Objects of these boxes, xyxy px, and class numbers."""
        tensor = torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4)
        crowd = torch.zeros(len(tensor), dtype=torch.bool)
        return cls(boxes=tensor, classes=torch.tensor(classes, dtype=torch.int64), crowd=crowd)


class Matching(NamedTuple):
    """Which detection the metric gives to which object."""

    detection_of: np.ndarray  # (M,) int64, -1 for an object that is missed, and for crowds
    object_of: np.ndarray  # (D,) int64, -1 for a false detection
    counted: np.ndarray  # (D,) bool; the metric counts only the best so many of a class


def match(objects: Objects, found: Instances, iou: float, limit: int = COCO_LIMIT) -> Matching:
    """The metric's own matching on one image.

    Args:
        objects: of the image.
        found: detections, best first.
        iou: least IoU of a detection and its object.
        limit: on the detections of a class that count, from the surest.
    """
    detection_of, object_of = np.full(len(objects), -1), np.full(len(found), -1)
    counted = np.zeros(len(found), dtype=bool)
    if len(found) == 0 or len(objects) == 0:
        counted[:] = True
        return Matching(detection_of, object_of, counted)
    rows = box_rows(found).astype(np.float64)
    rows[:, 5] += 1  # as the ids of categories
    rows = np.concatenate([np.ones_like(rows[:, :1]), rows], axis=1)
    # A class without objects and detections is not evaluated.
    classes = {*objects.classes.tolist(), *found.pred_classes.tolist()}
    for pair in _evaluated(_truth(objects, found.image_size, classes), rows, iou, limit):
        detections = np.array(pair["dtIds"], dtype=np.int64) - 1
        counted[detections] = True
        for detection, id in zip(detections, pair["dtMatches"][0], strict=True):
            if id > 0:
                object_of[detection], detection_of[int(id) - 1] = int(id) - 1, detection
    detection_of[objects.crowd.numpy()] = -1
    return Matching(detection_of, object_of, counted)


def _truth(objects: Objects, image_size: tuple[int, int], classes: set[int]) -> dict:
    """In COCO's form; ids are numbers from 1."""
    annotations = []
    for i, (box, label, crowd) in enumerate(
        zip(objects.boxes.tolist(), objects.classes.tolist(), objects.crowd.tolist(), strict=True)
    ):
        x0, y0, x1, y1 = box
        annotations.append(
            {
                "id": i + 1,
                "image_id": 1,
                "category_id": label + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": (x1 - x0) * (y1 - y0),
                "iscrowd": int(crowd),
            }
        )
    return {
        "images": [{"id": 1, "height": image_size[0], "width": image_size[1]}],
        "annotations": annotations,
        "categories": [{"id": k + 1, "name": str(k)} for k in sorted(classes)],
    }


def _evaluated(truth: dict, rows: np.ndarray, iou: float, limit: int) -> list[dict]:
    """What the metric says of each class: by hotcoco, or where it is missing by pycocotools."""
    coco: Any
    if hotcoco is not None:
        coco = hotcoco.COCO(truth)
        evaluation = hotcoco.COCOeval(coco, coco.load_res(rows), "bbox")
        parameters = evaluation.params
        parameters.iou_thrs, parameters.max_dets = [iou], [limit]
        parameters.area_rng, parameters.area_rng_lbl = [[0, 1e10]], ["all"]
    else:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(rows), "bbox")
        parameters = evaluation.params
        parameters.iouThrs, parameters.maxDets = np.array([iou]), [limit]
        parameters.areaRng, parameters.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    results = evaluation.eval_imgs if hotcoco is not None else evaluation.evalImgs
    return [x for x in results if x is not None]
