"""The detector's own steps from predictions to detections, one by one.

They are the functions that detect, called with the limits of later steps off; what is left in the
end is what the detector finds.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Instances
from torch import Tensor

from fcos_deploy.vision import shows_objects

from ...detections import suppress_across_classes
from ...modeling.packing import pack_detections
from ...modeling.selection import (
    Detections,
    Selection,
    best_candidates,
    clipped,
    suppress,
)
from ..slicing import Region, without_cut
from ..tta import vote
from .seen import SeenImage, SeenView
from .steps import CAP, MERGING, SCORE_THRESHOLD, SUPPRESSION, TOP_K


class Gate(NamedTuple):
    """A step, and what it lets through."""

    step: str
    # Locations are counted over all views. Boxes are in px of the network's input of their view,
    # or of the image where `of_image`.
    kept: Detections
    of_image: bool = False
    nms_thresh: float = 0.0  # of suppression
    across_classes: bool = False


@dataclass(frozen=True)
class Trace:
    """How the predictions on an image become detections."""

    seen: SeenImage
    selection: Selection
    gates: list[Gate]  # one after the other
    found: Instances  # as the predictor returns it, on the CPU

    def passed(self, class_idx: int) -> Tensor:
        """How many gates the candidate of a class at each location passes, (R of all views,)."""
        views = self.seen.views
        device = views[0].predictions.ltrb[0].device
        number = torch.zeros(sum(x.num_locations for x in views), dtype=torch.int64, device=device)
        for i, gate in enumerate(self.gates):
            number[gate.kept.location_idxs[gate.kept.classes == class_idx]] = i + 1
        return number

    @cached_property
    def boxes(self) -> Tensor:
        """What each location predicts, (R of all views, 4) px of the image; see `SeenImage`."""
        return self.seen.boxes(self.selection.clip_before_nms)


@torch.inference_mode()
def trace(seen: SeenImage, selection: Selection) -> Trace:
    """Selects among what was predicted.

    Args:
        seen: the image.
        selection: thresholds and limits.
    """
    of_views = [_view_gates(view, selection) for view in seen.views]
    steps = (SCORE_THRESHOLD, TOP_K, SUPPRESSION, CAP)
    gates = []
    for step, parts in zip(steps, zip(*of_views, strict=True), strict=True):
        kept = Detections.joined(
            [_counted(x, view) for x, view in zip(parts, seen.views, strict=True)]
        )
        gates.append(Gate(step, kept, nms_thresh=selection.nms_thresh))
    last = [gates_of_view[-1] for gates_of_view in of_views]
    placed = [view.to_image(x) for x, view in zip(last, seen.views, strict=True)]
    if seen.merging is not None:
        gates += _merging_gates(seen, placed, selection)
        merged = gates[-1].kept
    else:
        (merged,) = placed
    size = seen.inputs["height"], seen.inputs["width"]
    found = pack_detections(merged, size)
    found.location_idxs = merged.location_idxs
    found = found if seen.merging is None else detector_postprocess(found, *size)
    if not shows_objects(*found.image_size):
        found = found[:0]
        gates.append(Gate(SCORE_THRESHOLD, _unpacked(found), of_image=True))
    if seen.iou_across_classes is not None:
        found = suppress_across_classes(found, seen.iou_across_classes)
        iou = seen.iou_across_classes
        gates.append(Gate(SUPPRESSION, _unpacked(found), True, iou, across_classes=True))
    return Trace(seen, selection, gates, found.to("cpu"))


def _view_gates(view: SeenView, selection: Selection) -> list[Detections]:
    """What is above the threshold, among the best of its level, not suppressed, under the cap."""
    predictions = view.predictions
    pairs = sum(x.numel() for x in predictions.cls_logits)
    above = best_candidates(*predictions, replace(selection, topk_candidates=pairs))
    candidates = best_candidates(*predictions, selection)
    if selection.clip_before_nms:
        candidates = clipped(candidates, view.input_size)
    left = suppress(candidates, selection.nms_thresh, max_detections=0)
    return [above, candidates, left, left.best(selection.max_detections)]


def _merging_gates(seen: SeenImage, placed: list[Detections], selection: Selection) -> list[Gate]:
    """How the detections of several views become one answer, as in `MultiViewModel`.

    Args:
        seen: the image.
        placed: the detections of each view, px of the image.
        selection: as in `trace`.
    """
    merging, nms_thresh = seen.merging, selection.nms_thresh
    assert merging is not None, "only where there are several views"
    by_region: dict[Region, list[Detections]] = {}
    for view, detections in zip(seen.views, placed, strict=True):
        by_region.setdefault(view.view.region, []).append(detections)
    voted = {region: vote(each, nms_thresh) for region, each in by_region.items()}
    whole = without_cut(voted, tuple(seen.inputs["image"].shape[1:]))
    between = nms_thresh if len(voted) > 1 else 0
    left = suppress(whole, between, max_detections=0)
    sure = left.above(seen.min_scores)
    capped = sure.best(selection.max_detections * len(voted))
    return [
        Gate(MERGING, Detections.joined(voted.values()), of_image=True),
        Gate(MERGING, whole, of_image=True),
        Gate(SUPPRESSION, left, of_image=True, nms_thresh=between),
        Gate(SCORE_THRESHOLD, sure, of_image=True),
        Gate(CAP, capped, of_image=True),
    ]


def _counted(detections: Detections, view: SeenView) -> Detections:
    """With the locations counted over all views."""
    return detections._replace(location_idxs=detections.location_idxs + view.first_location)


def _unpacked(found: Instances) -> Detections:
    boxes = found.pred_boxes.tensor
    return Detections(boxes, found.scores, found.pred_classes, found.location_idxs)
