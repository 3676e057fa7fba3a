"""At which step a detector lost an object."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from ...modeling.selection import Selection
from ..coco_limits import COCO_LIMIT
from .objects import Objects, match
from .seen import SeenImage
from .steps import (
    BAD_BOX,
    CAP,
    FOUND,
    MATCHED_ELSEWHERE,
    MERGING,
    NEVER_PROPOSED,
    SCORE_THRESHOLD,
    SUPPRESSION,
    WRONG_CLASS,
)
from .trace import Trace, trace

LEAST_OVERLAP = 0.1  # IoU of a detection that is there, but fits badly


@dataclass(frozen=True)
class Covering:
    """The detection that suppressed a candidate."""

    location: int  # counted over all views
    class_idx: int
    score: float
    iou: float  # with the candidate, as suppression saw them


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Where an object was lost, or how it was found.

    Attributes:
        step: one of STEPS.
        passed: number of gates that the candidate passed; 0 without one.
        location: of the candidate that went farthest, counted over all views; None: none fits.
        detection: the one among what was found that tells of it: its own, the one that the metric
            gave to another object, or the false one that lies there; None: there is none.
        other: the object that the metric gave this detection to.
        covering: what suppressed the candidate.
    """

    step: str
    passed: int = 0
    location: int | None = None
    detection: int | None = None
    other: int | None = None
    covering: Covering | None = None


class Judge:
    """One image, how its detections came about, and what the metric makes of them."""

    def __init__(
        self,
        *,
        seen: SeenImage,
        selection: Selection,
        objects: Objects,
        iou: float = 0.5,
        limit: int = COCO_LIMIT,
        traced: Trace | None = None,
    ) -> None:
        """
        Args:
            seen: what was predicted.
            selection: see `trace`.
            objects: all of the image.
            iou: least IoU of a detection and its object.
            limit: on the detections of a class that the metric counts.
            traced: how `seen` is selected by `selection`, where that is known already.
        """
        self.seen, self.objects, self.iou = seen, objects, iou
        self.limit = limit
        self.trace = traced or trace(seen, selection)
        found = self.trace.found
        self.matching = match(objects, found, iou, limit)
        boxes = found.pred_boxes.tensor.double()
        self.overlaps = box_iou(objects.boxes, boxes)  # (M, D)

    @property
    def selection(self) -> Selection:
        return self.trace.selection

    def changed(self, **changes: Any) -> "Judge":
        """The same with other arguments of the constructor, or fields of the selection."""
        fields = Selection.__dataclass_fields__
        selection = replace(
            self.selection, **{key: x for key, x in changes.items() if key in fields}
        )
        arguments: dict[str, Any] = {
            "seen": self.seen,
            "objects": self.objects,
            "iou": self.iou,
            "limit": self.limit,
            **{key: x for key, x in changes.items() if key not in fields},
        }
        return Judge(selection=selection, **arguments)

    @property
    def misses(self) -> list[int]:
        """The objects that the metric gives no detection to."""
        missed = torch.from_numpy(self.matching.detection_of < 0) & ~self.objects.crowd
        return missed.nonzero()[:, 0].tolist()

    def ious(self, i: int) -> Tensor:
        """Of an object with the boxes of all locations of all views, float64."""
        boxes = self.trace.boxes.double()
        return box_iou(self.objects.boxes[i : i + 1].to(boxes.device), boxes)[0]

    def probabilities(self, class_idx: int) -> Tensor:
        """Of a class at all locations of all views."""
        levels = (x for view in self.seen.views for x in view.predictions.cls_logits)
        return torch.cat([x[:, class_idx] for x in levels]).sigmoid()

    def scores(self, class_idx: int) -> Tensor:
        """What detections of a class would score at all locations of all views."""
        if not self.seen.views[0].predictions.quality_logits:
            return self.probabilities(class_idx)
        levels = [x for view in self.seen.views for x in view.predictions.quality_logits]
        return (self.probabilities(class_idx) * torch.cat(levels).sigmoid()).sqrt()

    def probability_and_score(self, location: int, class_idx: int) -> tuple[float, float]:
        """Of a class at one location."""
        values = self.probabilities(class_idx)[location], self.scores(class_idx)[location]
        return float(values[0]), float(values[1])

    @property
    def by_score(self) -> bool:
        """Whether thresholds are on the score, and not on the class probability alone."""
        return self.selection.thresh_with_quality or self.selection.min_scores is not None

    def surety(self, class_idx: int) -> Tensor:
        """What the threshold is compared with at all locations."""
        return self.scores(class_idx) if self.by_score else self.probabilities(class_idx)

    def farthest(self, i: int) -> list[int]:
        """The locations whose box fits an object, from the one whose candidate goes farthest."""
        class_idx, ious = int(self.objects.classes[i]), self.ious(i)
        fitting = (ious >= self.iou).nonzero()[:, 0]
        passed, surety = (
            x[fitting] for x in (self.trace.passed(class_idx), self.surety(class_idx))
        )
        order = ious[fitting].argsort(descending=True, stable=True)
        for key in (surety, passed):
            order = order[key[order].argsort(descending=True, stable=True)]
        return fitting[order].tolist()

    def verdict(self, i: int) -> Verdict:
        """At which step an object was lost.

        Args:
            i: in [0, M).
        """
        fitting = self.farthest(i)
        location = fitting[0] if fitting else None
        class_idx = int(self.objects.classes[i])
        passed = int(self.trace.passed(class_idx)[location]) if fitting else 0
        of_class = self.trace.found.pred_classes == class_idx
        known: dict[str, Any] = {"passed": passed, "location": location}
        if self.matching.detection_of[i] >= 0:
            return Verdict(step=FOUND, detection=int(self.matching.detection_of[i]), **known)
        hits = of_class & (self.overlaps[i] >= self.iou)
        if hits.any():
            return self._of_hits(hits, known)
        gates = self.trace.gates
        if passed == len(gates):
            return Verdict(step=MERGING, **known)
        if passed > 0:
            step = gates[passed].step
            covering = self._covering(location, class_idx, passed) if step == SUPPRESSION else None
            return Verdict(step=step, covering=covering, **known)
        return self._of_what_is_there(i, of_class, known)

    def _of_hits(self, hits: Tensor, known: dict) -> Verdict:
        """Detections fit, and yet the metric gives none to the object."""
        counted = hits & torch.from_numpy(self.matching.counted)
        if not counted.any():
            return Verdict(step=CAP, detection=int(hits.nonzero()[0, 0]), **known)
        detection = int(counted.nonzero()[0, 0])
        other = int(self.matching.object_of[detection])
        return Verdict(
            step=MATCHED_ELSEWHERE,
            detection=detection,
            other=other if other >= 0 else None,
            **known,
        )

    def _of_what_is_there(self, i: int, of_class: Tensor, known: dict) -> Verdict:
        """No candidate of its class that fits is above the threshold: what is there instead?"""
        fits = known["location"] is not None
        free = torch.from_numpy(self.matching.object_of < 0)
        wrong = free & ~of_class & (self.overlaps[i] >= self.iou)
        bad = free & of_class & (self.overlaps[i] >= LEAST_OVERLAP)
        for step, there in ((WRONG_CLASS, wrong), (BAD_BOX, bad)):
            if there.any():
                best = torch.where(there, self.overlaps[i], -1.0).argmax()
                return Verdict(step=step, detection=int(best), **known)
        return Verdict(step=SCORE_THRESHOLD if fits else NEVER_PROPOSED, **known)

    def coverers(self, location: int, class_idx: int, passed: int) -> tuple[list[int], Tensor]:
        """What could have suppressed a candidate at the gate that it did not pass.

        Args:
            location: of the candidate, counted over all views.
            class_idx: its class.
            passed: number of gates that it passed.

        Returns:
            Indices in the boxes that came to the gate, from the surest, and IoUs with all of them.
        """
        came, gate = self.trace.gates[passed - 1].kept, self.trace.gates[passed]
        (candidate,) = (
            ((came.location_idxs == location) & (came.classes == class_idx)).nonzero()[0].tolist()
        )
        boxes = came.boxes.double()
        ious = box_iou(boxes[candidate : candidate + 1], boxes)[0]
        rivals = came.scores >= came.scores[candidate]
        rivals[candidate] = False
        if not gate.across_classes:
            rivals &= came.classes == class_idx
        if not gate.of_image:
            view = self.seen.view_of(location)
            last = view.first_location + view.num_locations
            rivals &= (came.location_idxs >= view.first_location) & (came.location_idxs < last)
        rivals &= ious > gate.nms_thresh
        order = rivals.nonzero()[:, 0]
        return order[came.scores[order].argsort(descending=True, stable=True)].tolist(), ious

    def _covering(self, location: int | None, class_idx: int, passed: int) -> Covering | None:
        """The surest box that stayed and covers the candidate."""
        assert location is not None, "a candidate that passed a gate has a location"
        came, kept = self.trace.gates[passed - 1].kept, self.trace.gates[passed].kept
        stayed = set(zip(kept.location_idxs.tolist(), kept.classes.tolist(), strict=True))
        rivals, ious = self.coverers(location, class_idx, passed)
        for rival in rivals:
            pair = int(came.location_idxs[rival]), int(came.classes[rival])
            if pair in stayed:
                return Covering(*pair, float(came.scores[rival]), float(ious[rival]))
        return None
