"""A verdict in plain English."""

import math
from dataclasses import dataclass

from torchvision.ops import box_iou

from . import steps
from .explanation import Row
from .learned import Learned, in_words
from .remedy import Remedy
from .seen import SeenView
from .verdict import Judge, Verdict


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What there is to say of an object."""

    judge: Judge
    i: int  # which object of the image
    verdict: Verdict
    view: SeenView  # that tells most
    rows: list[Row]
    learned: Learned
    remedy: Remedy | None
    name: str  # of the image
    class_was_given: bool

    @property
    def class_name(self) -> str:
        return self.judge.seen.class_names[int(self.judge.objects.classes[self.i])]


def paragraph(facts: Facts) -> str:
    """What happened to the object, from its size to the step at which it was lost."""
    generator = facts.judge.seen.generator
    sentences = [
        _what(facts),
        in_words(facts.learned, facts.view, generator),
        _candidates(facts),
        _lost(facts),
    ]
    if facts.remedy is not None:
        sentences.append(facts.remedy.in_words())
    return " ".join(x for x in sentences if x)


def _what(facts: Facts) -> str:
    box = facts.judge.objects.boxes[facts.i : facts.i + 1]
    x0, y0, x1, y1 = box[0].tolist()
    a0, b0, a1, b1 = facts.view.to_input(box)[0].tolist()
    height, width = facts.view.input_size
    where = f" of {facts.name}" if facts.name else ""
    text = f"The object at {x0:.0f},{y0:.0f},{x1:.0f},{y1:.0f}{where}"
    if facts.class_was_given:
        text += f" ({facts.class_name})"
    else:
        text += f" (no class was given; {facts.class_name} goes farthest)"
    part = ""
    if len(facts.judge.seen.views) > 1:
        region, mirrored = facts.view.view.region, facts.view.view.flipped
        part = (
            f", in the view of {region.x0},{region.y0},{region.x1},{region.y1}"
            f"{', mirrored' if mirrored else ''}"
        )
    return (
        f"{text} is {_number(x1 - x0)} x {_number(y1 - y0)} px large, and {_number(a1 - a0)} x "
        f"{_number(b1 - b0)} px at the network's input ({width} x {height} px{part})."
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _candidates(facts: Facts) -> str:
    ious = facts.judge.ious(facts.i)
    fitting = int((ious >= facts.judge.iou).sum())
    if fitting == 0:
        return (
            f"None of the {len(ious):,} locations has a box that fits it (IoU of at least "
            f"{facts.judge.iou:g}); the best has {float(ious.max()):.2f}."
        )
    verb = "location has a box that fits" if fitting == 1 else "locations have a box that fits"
    row = next(x for x in facts.rows if x.iou >= facts.judge.iou)
    quality = "" if row.quality is None else f", quality {row.quality:.2f}"
    return (
        f"{fitting:,} {verb} it (IoU of at least {facts.judge.iou:g}); the one that goes farthest, "
        f"on {row.level} at {row.x:.0f},{row.y:.0f}, gives {facts.class_name} "
        f"{row.class_probability:.3f}{quality}, score {row.score:.3f}, and a box with IoU "
        f"{row.iou:.2f}."
    )


def _lost(facts: Facts) -> str:
    verdict, judge = facts.verdict, facts.judge
    there = _detection(facts)
    if verdict.step == steps.FOUND:
        return f"It is found, by {there}."
    if verdict.step == steps.MATCHED_ELSEWHERE:
        return f"It is missed although {there} fits it: the metric {_to_whom(facts)}."
    if verdict.step == steps.CAP:
        return f"It went at the cap: {_cap(facts)}."
    if verdict.step == steps.SUPPRESSION:
        return f"It went in suppression: {_covering(facts)}."
    if verdict.step == steps.MERGING:
        return "It went where views are merged: the box that came of it does not fit any more."
    if verdict.step == steps.TOP_K:
        return (
            f"It went at the top-k: only the best {judge.selection.topk_candidates} candidates of "
            "each level go on."
        )
    if verdict.step == steps.NEVER_PROPOSED:
        return "It was never proposed, and no detection of its class is near."
    reason = _below(facts)
    if verdict.step == steps.SCORE_THRESHOLD:
        return f"It went at the score threshold: {reason}."
    if verdict.step == steps.WRONG_CLASS:
        return f"It was taken for another class: {there} fits it, while {reason}."
    return f"It was found badly: {there} is there{f', while {reason}' if reason else ''}."


def _detection(facts: Facts) -> str:
    """The detection of the verdict."""
    index = facts.verdict.detection
    if index is None:
        return ""
    found = facts.judge.trace.found
    name = facts.judge.seen.class_names[int(found.pred_classes[index])]
    iou = float(facts.judge.overlaps[facts.i, index])
    return f"a detection of {name} with score {float(found.scores[index]):.3f} and IoU {iou:.2f}"


def _to_whom(facts: Facts) -> str:
    other = facts.verdict.other
    if other is None:
        return "does not give it that detection"
    boxes = facts.judge.objects.boxes
    x0, y0, x1, y1 = boxes[other].tolist()
    iou = float(box_iou(boxes[facts.i : facts.i + 1], boxes[other : other + 1]))
    return (
        f"gave that to another object, at {x0:.0f},{y0:.0f},{x1:.0f},{y1:.0f}, whose IoU with it "
        f"is {iou:.2f}"
    )


def _cap(facts: Facts) -> str:
    cap = facts.judge.selection.max_detections
    if facts.verdict.detection is not None:
        return f"the metric counts the best {facts.judge.limit} detections of a class"
    number = len(facts.judge.trace.gates[facts.verdict.passed - 1].kept.scores)
    return f"only the best {cap} of {number} detections go on"


def _covering(facts: Facts) -> str:
    covering = facts.verdict.covering
    gate = facts.judge.trace.gates[facts.verdict.passed]
    if covering is None:
        return "a surer detection covers it"
    seen = facts.judge.seen
    name = seen.class_names[covering.class_idx]
    box = facts.judge.trace.boxes[covering.location].tolist()
    where = ",".join(f"{x:.0f}" for x in box)
    return (
        f"a surer detection of {name} (score {covering.score:.3f}, at {where}) covers it with IoU "
        f"{covering.iou:.2f}, above the limit of {gate.nms_thresh:g}"
    )


def _below(facts: Facts) -> str:
    """What was compared with the threshold; "" where no location fits."""
    verdict, selection = facts.verdict, facts.judge.selection
    if verdict.location is None:
        return ""
    if verdict.passed:  # of several views
        return "the mean of its scores over the views is too low"
    judge, class_idx = facts.judge, int(facts.judge.objects.classes[facts.i])
    probability, score = judge.probability_and_score(verdict.location, class_idx)
    if not judge.by_score or (
        not selection.thresh_with_quality and probability <= selection.score_thresh
    ):
        return (
            f"the probability of {facts.class_name}, {probability:.3g}, is not above the threshold "
            f"of {selection.score_thresh:g}"
        )
    limit = math.sqrt(selection.score_thresh) if selection.thresh_with_quality else 0.0
    if selection.min_scores is not None:
        limit = max(limit, selection.min_scores[class_idx])
    return f"the score of {score:.3g} does not reach the threshold of {limit:.3g}"
