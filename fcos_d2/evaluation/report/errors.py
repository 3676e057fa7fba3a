"""Confusions, calibration, the kinds of errors and doubtful labels, by hotcoco."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..coco_truth import hotcoco
from ..matches import Matches
from ..results import DetectionSet
from ..thresholds import IOU

BINS = 10
TIDE = {
    "Cls": "found, as another class",
    "Loc": "the right class, but the box fits badly",
    "Both": "another class, and the box fits badly",
    "Dupe": "a second detection of an object",
    "Bkg": "a detection where there is nothing",
    "Miss": "an object that no detection comes near",
}
_NO_DETECTION = np.zeros((0, 7))
logger = logging.getLogger(__name__)


def evaluation(data: DetectionSet, rows: np.ndarray) -> "hotcoco.COCOeval":
    """hotcoco's evaluation of some detections, matched.

    Args:
        data: with the ground truth.
        rows: (D, 7) of `DetectionSet.rows`.
    """
    coco = data.coco
    found = hotcoco.COCOeval(coco, coco.load_res(rows if len(rows) else _NO_DETECTION), "bbox")
    found.evaluate()
    return found


def kept_rows(data: DetectionSet, matches: Matches, threshold: float) -> np.ndarray:
    """The detections from a score on that count for or against the detector, (D, 7).

    Those on crowds do neither, and hotcoco's confusions would count them against it.
    """
    kept = (matches.score >= threshold) & ~matches.ignored[0, 0]
    return data.rows[np.sort(matches.row[kept])]


def confusion(data: DetectionSet, rows: np.ndarray, threshold: float) -> dict[str, object]:
    """Counts of objects (rows) found as what (columns); the last of each is the background.

    Detections choose among the objects of all classes, the surest first.

    Args:
        data: with the ground truth.
        rows: see `kept_rows`.
        threshold: that was applied, for the record.
    """
    found = evaluation(data, rows).confusion_matrix(iou_thr=IOU, max_det=max(len(rows), 1))
    matrix = found["matrix"].astype(np.int64)
    return {
        "threshold": threshold,
        "iou": IOU,
        "names": [*data.class_names, "background"],
        "matrix": _without_crowds(data, matrix).tolist(),
    }


def _without_crowds(data: DetectionSet, matrix: np.ndarray) -> np.ndarray:
    """The matrix with misses that add up to the objects: crowds are none."""
    counts = np.bincount(data.objects.label[~data.objects.crowd], minlength=len(data.categories))
    matrix[:-1, -1] = counts - matrix[:-1, :-1].sum(axis=1)
    return matrix


def calibration(matches: Matches) -> dict[str, object]:
    """How often detections of a score are right, at an IoU of 0.5; in bins of equal width."""
    counts = ~matches.ignored[0, 0]
    score, true = matches.score[counts], matches.true[0, 0, counts]
    label = matches.label[counts]
    bins = hotcoco.metrics.calibration_curve(score, true, n_bins=BINS)
    expected, largest = hotcoco.metrics.calibration_error(score, true, n_bins=BINS)
    by_class = {
        name: hotcoco.metrics.calibration_error(score[label == k], true[label == k], n_bins=BINS)[0]
        for k, name in enumerate(matches.class_names)
        if (label == k).any()
    }
    return {
        "iou": IOU,
        "detections": len(score),
        "expected_error": expected if len(score) else float("nan"),
        "largest_error": largest if len(score) else float("nan"),
        "expected_error_by_class": by_class,
        "bins": [
            {
                "low": x["bin_lower"],
                "high": x["bin_upper"],
                "score": x["avg_confidence"] if x["count"] else float("nan"),
                "precision": x["avg_accuracy"] if x["count"] else float("nan"),
                "detections": x["count"],
            }
            for x in bins
        ],
    }


def tide(data: DetectionSet) -> dict[str, object]:
    """What each kind of error costs: AP50 that the detector would gain without it, in percent.

    Source: Bolya et al., "TIDE", arXiv 2008.08115.
    """
    if not len(data.objects) or data.objects.crowd.all():
        return {}
    found = evaluation(data, data.rows).tide_errors()
    return {
        "AP50": 100 * found["ap_base"],
        "iou": found["pos_thr"],
        "background_iou": found["bg_thr"],
        "errors": {
            name: {
                "cost": 100 * found["delta_ap"][name],
                "count": int(found["counts"][name]),
                "meaning": meaning,
            }
            for name, meaning in TIDE.items()
        },
        "all_false_positives": 100 * found["delta_ap"]["FP"],
        "all_misses": 100 * found["delta_ap"]["FN"],
    }


def costliest_error(found: Mapping[str, Any]) -> str | None:
    """The kind of error (a key of TIDE) that costs most AP50; None where none costs any.

    Args:
        found: by `tide`.
    """
    errors = found.get("errors", {})
    worst = max(errors, key=lambda name: errors[name]["cost"], default=None)
    return worst if worst and errors[worst]["cost"] > 0 else None


def costliest_in_words(found: Mapping[str, Any]) -> str:
    """The same, with what it costs; "" where none costs a tenth of a point."""
    worst = costliest_error(found)
    cost = found["errors"][worst]["cost"] if worst else 0.0
    if not worst or cost < 0.1:
        return ""
    return f"{TIDE[worst]}: without these, AP50 would be {cost:.1f} higher"
