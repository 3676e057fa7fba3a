"""Labels that may be wrong: where a sure detection and the ground truth contradict each other."""

import numpy as np

from ..results import DetectionSet
from .errors import evaluation
from .gallery import corners

SURE = 0.5  # score, unless the threshold is higher
KINDS = {
    "missing_annotation": "an object without a label?",
    "wrong_label": "the label of another class?",
}


def label_errors(data: DetectionSet, rows: np.ndarray, threshold: float) -> list[dict[str, object]]:
    """Candidates, the surest first, by hotcoco.

    Args:
        data: ground truth and detections.
        rows: detections above the threshold, see `kept_rows`.
        threshold: of them.

    Returns:
        For each `kind` and `question`, the index of the `image` and its `file_name`, the `box` of
        the detection (xyxy px), its `score` and class `name`; of a wrong label also `label`, the
        class that it says, `label_box` and the `annotation`'s position in the ground truth's list.
    """
    if not len(rows):
        return []
    found = evaluation(data, rows).image_diagnostics(iou_thr=0.5, score_thr=max(SURE, threshold))
    return [_candidate(data, rows, x) for x in found["label_errors"]]


def _candidate(data: DetectionSet, rows: np.ndarray, found: dict) -> dict[str, object]:
    image = found["image_id"] - 1
    result = {
        "kind": found["type"],
        "question": KINDS.get(found["type"], found["type"].replace("_", " ")),
        "image": image,
        "file_name": str(data.images[image].get("file_name", "")),
        "name": found["dt_category"],
        "score": found["dt_score"],
        "box": corners(rows[found["dt_id"] - 1, 1:5]).tolist(),
        "label": None,
        "label_box": None,
        "annotation": None,
    }
    if found["gt_id"] is not None:
        m = found["gt_id"] - 1
        result |= {
            "label": found["gt_category"],
            "label_box": corners(data.objects.xywh[m]).tolist(),
            "annotation": m,
        }
    return result
