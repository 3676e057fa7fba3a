"""What becomes of a missed object once the named cause is gone, by really selecting again."""

import math
from collections import defaultdict
from dataclasses import dataclass, replace

import torch

from .seen import SeenImage
from .steps import (
    CAP,
    FOUND,
    MATCHED_ELSEWHERE,
    MERGING,
    NEVER_PROPOSED,
    SUPPRESSION,
    TOP_K,
)
from .verdict import Judge, Verdict

JUST_BELOW = 1 - 1e-4  # of a threshold, beside the value that has to pass it


@dataclass(frozen=True)
class Remedy:
    """A change that removes the cause, and the step of the object after it."""

    change: str  # after "With "
    step: str

    def in_words(self) -> str:
        """A sentence."""
        if self.step == FOUND:
            return f"With {self.change} it is found."
        return f"With {self.change} it is still missed; the step is then: {self.step}."


def without_cause(judge: Judge, i: int, verdict: Verdict) -> Remedy | None:
    """The object again, without what it was lost by; None where no setting is the cause.

    Args:
        judge: of the image.
        i: the object.
        verdict: on it.
    """
    step, location = verdict.step, verdict.location
    if step == MATCHED_ELSEWHERE:
        alone = judge.objects.only(i)
        return Remedy("no other object annotated", judge.changed(objects=alone).verdict(0).step)
    if step in (FOUND, MERGING, NEVER_PROPOSED) or (location is None and step != CAP):
        return None
    if step == CAP:
        change, changed = "no limit on the detections", judge.changed(max_detections=0, limit=10**6)
    elif step == TOP_K:
        pairs = sum(x.numel() for x in judge.seen.views[0].predictions.cls_logits)
        change, changed = "no limit on the candidates", judge.changed(topk_candidates=pairs)
    elif step == SUPPRESSION:
        change, changed = _without_coverers(judge, i, verdict)
    elif verdict.passed:
        change, changed = (
            "no threshold on the mean score",
            judge.changed(seen=replace(judge.seen, min_scores=None)),
        )
    else:
        change, changed = _with_lower_threshold(judge, i, verdict)
    return Remedy(change, changed.verdict(i).step)


def _with_lower_threshold(judge: Judge, i: int, verdict: Verdict) -> tuple[str, Judge]:
    class_idx, selection = int(judge.objects.classes[i]), judge.selection
    assert verdict.location is not None, verdict
    probability, score = judge.probability_and_score(verdict.location, class_idx)
    compared = score**2 if selection.thresh_with_quality else probability
    bounds: dict = {"score_thresh": min(selection.score_thresh, compared * JUST_BELOW)}
    if selection.min_scores is not None:
        lowest = list(selection.min_scores)
        lowest[class_idx] = min(lowest[class_idx], score * JUST_BELOW)
        bounds["min_scores"] = tuple(lowest)
    unlikely = not selection.thresh_with_quality and probability <= selection.score_thresh
    if judge.by_score and not unlikely:
        return f"a score threshold below {score:.3g}", judge.changed(**bounds)
    text = f"a threshold below {probability:.3g} on the class probability"
    if selection.min_scores is not None and score < selection.min_scores[class_idx]:
        text += f" and a score threshold below {score:.3g}"
    return text, judge.changed(**bounds)


def _without_coverers(judge: Judge, i: int, verdict: Verdict) -> tuple[str, Judge]:
    """Without all surer candidates that cover the best one: one alone has neighbours like it."""
    class_idx, location = int(judge.objects.classes[i]), verdict.location
    assert location is not None, verdict
    came = judge.trace.gates[verdict.passed - 1].kept
    coverers, _ = judge.coverers(location, class_idx, verdict.passed)
    pairs = [(int(came.location_idxs[x]), int(came.classes[x])) for x in coverers]
    number = "the surer candidate" if len(pairs) == 1 else f"the {len(pairs)} surer candidates"
    verb = "covers" if len(pairs) == 1 else "cover"
    return f"{number} that {verb} it gone", judge.changed(seen=_silenced(judge.seen, pairs))


def _silenced(seen: SeenImage, pairs: list[tuple[int, int]]) -> SeenImage:
    """The same, but for some locations (counted over all views) that do not see some classes."""
    of_view = defaultdict(list)
    for location, class_idx in pairs:
        view = seen.view_of(location)
        of_view[view.first_location].append((location - view.first_location, class_idx))
    views = []
    for view in seen.views:
        predictions = view.predictions
        logits = torch.cat(predictions.cls_logits)  # a copy
        for location, class_idx in of_view[view.first_location]:
            logits[location, class_idx] = -math.inf
        predictions = predictions._replace(cls_logits=list(logits.split(view.counts)))
        views.append(replace(view, predictions=predictions))
    return replace(seen, views=views)
