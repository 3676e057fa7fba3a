"""A detector's mistakes at a threshold: false detections, misses, confusions; worst first."""

from dataclasses import dataclass, field

import numpy as np

from ..coco_truth import hotcoco
from ..matches import Matches
from ..results import DetectionSet, by_image
from ..thresholds import IOU
from .gallery import Box, Mistake, corners

NEAR = 0.1  # IoU below which a detection is on nothing
AREA, FIRST = 0, 0  # of `Matches`: objects of all sizes, at an IoU of 0.5


@dataclass(kw_only=True)
class Mistakes:
    """Of all images, each kind worst first."""

    false: list[Mistake] = field(default_factory=list)  # by falling score
    missed: list[Mistake] = field(default_factory=list)  # by falling area: large ones are easy
    confused: list[Mistake] = field(default_factory=list)  # by falling score


def find_mistakes(data: DetectionSet, matches: Matches, threshold: float) -> Mistakes:
    """The mistakes at a threshold, at an IoU of 0.5.

    A wrong detection and an object of another class that it lies on, and that nothing else has
    found, are one confusion.

    Args:
        data: ground truth and detections.
        matches: of them.
        threshold: detections of this score and above count.
    """
    kept = matches.score >= threshold
    object_of = matches.object_of[FIRST]
    wrong = np.flatnonzero(kept & ~matches.true[AREA, FIRST] & ~matches.ignored[AREA, FIRST])
    missing = ~data.objects.crowd
    missing[object_of[kept & (object_of >= 0)]] = False
    of_image = by_image(data.objects.image, len(data.images))
    result = Mistakes()
    for d in wrong.tolist():  # best first
        theirs = of_image[matches.image[d]]
        overlaps = _overlaps(data, matches, d, theirs)
        others = missing[theirs] & (data.objects.label[theirs] != matches.label[d])
        rivals = np.where(others, overlaps, 0.0)
        if len(theirs) and rivals.max() >= IOU:
            m = int(theirs[rivals.argmax()])
            missing[m] = False
            result.confused.append(_confusion(data, matches, d, m))
        else:
            result.false.append(_false(data, matches, d, theirs, overlaps))
    late = _scores_below(matches, kept)
    missed = np.flatnonzero(missing)
    order = np.argsort(-data.objects.area[missed], kind="stable")
    result.missed = [_miss(data, m, late.get(m)) for m in missed[order].tolist()]
    return result


def _overlaps(data: DetectionSet, matches: Matches, d: int, theirs: np.ndarray) -> np.ndarray:
    """(m,) IoU of a detection with objects."""
    if not len(theirs):
        return np.zeros(0)
    box = data.found.xywh[matches.row[d] : matches.row[d] + 1]
    crowd = np.zeros(len(theirs), dtype=bool)
    return np.asarray(hotcoco.primitives.bbox_iou(box, data.objects.xywh[theirs], crowd))[0]


def _scores_below(matches: Matches, kept: np.ndarray) -> dict[int, float]:
    """The score of the detection below the threshold that finds an object, where one does."""
    below = np.flatnonzero(~kept & (matches.object_of[FIRST] >= 0))
    objects = matches.object_of[FIRST][below].tolist()
    return dict(zip(objects, matches.score[below].tolist(), strict=True))


def _found_box(data: DetectionSet, matches: Matches, d: int) -> Box:
    return _box(data.found.xywh[matches.row[d]])


def _box(xywh: np.ndarray) -> Box:
    x1, y1, x2, y2 = corners(xywh).tolist()
    return x1, y1, x2, y2


def _said(matches: Matches, d: int) -> str:
    return f"{matches.class_names[matches.label[d]]} {matches.score[d]:.2f}"


def _confusion(data: DetectionSet, matches: Matches, d: int, m: int) -> Mistake:
    return Mistake(
        image=int(matches.image[d]),
        title=f"{_said(matches, d)} is a {data.class_names[data.objects.label[m]]}",
        found=_found_box(data, matches, d),
        labelled=_box(data.objects.xywh[m]),
    )


def _false(
    data: DetectionSet, matches: Matches, d: int, theirs: np.ndarray, overlaps: np.ndarray
) -> Mistake:
    note, labelled = "nothing is labelled there", None
    if len(theirs) and overlaps.max() >= NEAR:
        m = int(theirs[overlaps.argmax()])
        name, iou = data.class_names[data.objects.label[m]], overlaps.max()
        labelled = _box(data.objects.xywh[m])
        note = f"IoU {iou:.2f} with the nearest label, {name}"
        if iou >= IOU:
            note = f"a second box on an object that is found, {name}"
    return Mistake(
        image=int(matches.image[d]),
        title=_said(matches, d),
        note=note,
        found=_found_box(data, matches, d),
        labelled=labelled,
    )


def _miss(data: DetectionSet, m: int, late: float | None) -> Mistake:
    name, (w, h) = data.class_names[data.objects.label[m]], data.objects.xywh[m, 2:]
    note = "no box of its class lies on it" if late is None else f"found with a score of {late:.2f}"
    return Mistake(
        image=int(data.objects.image[m]),
        title=f"{name}, {w:.0f} x {h:.0f} px",
        note=note,
        labelled=_box(data.objects.xywh[m]),
        label=name,
    )
