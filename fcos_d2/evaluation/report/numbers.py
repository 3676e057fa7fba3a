"""All numbers of a report as one dict, which is its report.json; docs/report.md lists the keys."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..bootstrap import CONFIDENCE, RESAMPLES, SEED, resample_counts
from ..coco_limits import COCO_LIMIT
from ..matches import AREAS, IOU_THRESHOLDS, Matches, match
from ..results import DetectionSet
from ..thresholds import IOU, Curve, ThresholdChoice, choose, curve, working_threshold
from .errors import calibration, confusion, kept_rows, tide
from .figures import figures
from .images import image_table, slices
from .labels import label_errors

FORMAT = 1  # of report.json; rises when a key changes its meaning
WANTED = ("f1", "precision=0.9", "recall=0.9", "miss=0.1")
CURVE_POINTS = 200  # of precision, recall and F1 over the threshold
MOST_LABEL_ERRORS = 200
GUARANTEE = (
    "miss=A is a conformal threshold. Where these images and new ones are exchangeable (drawn "
    "alike, and none of them used to train or to choose the weights), the share of its objects "
    "that a new image with objects misses is at most A on average, over draws of such sets and of "
    "new images. It promises nothing of a single image, of one set, of all objects counted "
    "together, of a class when it was chosen for all of them, of images from elsewhere, or of "
    "false detections."
)


def report_numbers(
    data: DetectionSet,
    *,
    matches: Matches | None = None,
    max_dets_per_image: int = COCO_LIMIT,
    resamples: int = RESAMPLES,
    wanted: Sequence[str] = WANTED,
    brightness: Sequence[float] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The numbers of a report.

    Args:
        data: ground truth and detections.
        matches: of them, where they are known.
        max_dets_per_image: the best so many detections of a class count in each image.
        resamples: of the images, for the intervals.
        wanted: thresholds to choose, see `thresholds.Wanted`.
        brightness: of each image, for slices.
        origin: what made the detections (`model`, `speed`, `data`, `versions`, ...), as it is to
            stand in the report.

    Returns:
        Numbers, texts, lists and dicts, all of which json knows; None for what cannot be measured.
    """
    matches = matches or match(data, max_dets_per_image)
    counts = resample_counts(len(data.images), resamples)
    overall, classes = figures(matches, counts)
    choices = [choose(matches, text) for text in wanted]
    threshold = working_threshold(matches)
    rows = kept_rows(data, matches, threshold)
    doubtful = label_errors(data, rows, threshold)
    found: dict[str, Any] = {
        "format": FORMAT,
        "data": _facts(data),
        "metric": {
            "max_dets_per_image": max_dets_per_image,
            "iou_thresholds": IOU_THRESHOLDS.round(2).tolist(),
            "areas": {name: list(bounds) for name, bounds in AREAS.items()},
            "interval": {"confidence": CONFIDENCE, "resamples": resamples, "seed": SEED},
        },
        "figures": overall,
        "classes": classes,
        "threshold": threshold,
        "thresholds": _thresholds(matches, choices),
        "confusion": confusion(data, rows, threshold),
        "calibration": calibration(matches),
        "tide": tide(data),
        "label_errors": {"count": len(doubtful), "worst": doubtful[:MOST_LABEL_ERRORS]},
        "images": image_table(data, matches, threshold),
        "slices": slices(data, matches, brightness),
    }
    return plain(found | _origin(found["data"], origin or {}))


def plain(value: Any) -> Any:
    """Without numpy's types, and None for what is no finite number, which json does not know."""
    if isinstance(value, Mapping):
        return {str(key): plain(x) for key, x in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(x) for x in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _origin(facts: Mapping[str, Any], origin: Mapping[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "model": None,
        "speed": None,
        "versions": {},
        "machine": {},
        "made": {},
    }
    return empty | dict(origin) | {"data": {**facts, **origin.get("data", {})}}


def _facts(data: DetectionSet) -> dict[str, Any]:
    objects, found = data.objects, data.found
    return {
        "source": data.source,
        "folder": None if data.folder is None else str(data.folder),
        "classes": data.class_names,
        "images": len(data.images),
        "images_without_boxes": len(data.images) - len(np.unique(objects.image[~objects.crowd])),
        "images_without_detections": len(data.images) - len(np.unique(found.image)),
        "boxes": int((~objects.crowd).sum()),
        "crowds": int(objects.crowd.sum()),
        "detections": len(found),
    }


def _thresholds(matches: Matches, choices: Sequence[ThresholdChoice]) -> dict[str, Any]:
    curves = {name: _points(curve(matches, k)) for k, name in enumerate(matches.class_names)}
    return {
        "iou": IOU,
        "curve": _points(curve(matches)),
        "curves": [{"name": name, **points} for name, points in curves.items()],
        "choices": [
            {
                "wanted": str(x.wanted),
                "overall": vars(x.overall),
                "classes": [{"name": k, **vars(choice)} for k, choice in x.by_class.items()],
            }
            for x in choices
        ],
        "guarantee": GUARANTEE,
    }


def _points(whole: Curve) -> dict[str, list[float]]:
    """At most CURVE_POINTS rows of a curve, evenly over the scores and the recalls."""
    count = len(whole.score)
    rows = np.arange(count)
    if count > CURVE_POINTS:
        steps = np.linspace(0, 1, CURVE_POINTS // 2)
        by_rank = np.round(steps * (count - 1)).astype(np.int64)
        by_score = np.searchsorted(-whole.score, -np.quantile(whole.score[[0, -1]], steps))
        rows = np.unique(np.clip(np.concatenate((by_rank, by_score)), 0, count - 1))
    return {
        "score": whole.score[rows].tolist(),
        "precision": whole.precision[rows].tolist(),
        "recall": whole.recall[rows].tolist(),
        "f1": whole.f1[rows].tolist(),
    }
