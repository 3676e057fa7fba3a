"""What is found in an image, as plain arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from detectron2.structures import Instances
from torchvision.ops import nms


def suppress_across_classes(found: Instances, iou: float) -> Instances:
    """Those that no surer one covers, of whatever class.

    Args:
        found: with pred_boxes, scores and pred_classes, suppressed within each class before.
        iou: above which the weaker of two boxes goes.
    """
    return found[nms(found.pred_boxes.tensor, found.scores, iou)]


@dataclass(frozen=True)
class ImageDetections:
    """Detections in an image, best first, without anything of torch or detectron2.

    Attributes:
        boxes: float32 (D, 4), xyxy px of the image.
        scores: float32 (D,), in [0, 1].
        classes: int64 (D,), indices.
        class_names: str (D,), their names.

    supervision takes them as they are:

        supervision.Detections(
            xyxy=found.boxes, confidence=found.scores, class_id=found.classes,
            data={"class_name": found.class_names},
        )
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    class_names: np.ndarray

    @classmethod
    def of(cls, instances: Instances, names: Sequence[str]) -> "ImageDetections":
        """Those of detectron2.

        Args:
            instances: with pred_boxes, scores and pred_classes, on any device.
            names: of all classes, in their order.
        """
        classes = instances.pred_classes.cpu().numpy().astype(np.int64)
        return cls(
            boxes=instances.pred_boxes.tensor.cpu().numpy().astype(np.float32),
            scores=instances.scores.cpu().numpy().astype(np.float32),
            classes=classes,
            class_names=np.array(names, dtype=np.str_)[classes],
        )

    def __len__(self) -> int:
        return len(self.boxes)
