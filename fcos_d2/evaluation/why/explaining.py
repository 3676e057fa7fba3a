"""From a verdict to an explanation."""

import math
from collections.abc import Sequence
from functools import partial

from fcos_deploy.vision import GivenImage, bgr_image

from ...predictor import Predictor
from . import learned, wording
from .explanation import Explanation, Row
from .objects import Objects
from .picture import draw
from .remedy import without_cause
from .seen import SeenView, look
from .steps import CAP, FOUND, MATCHED_ELSEWHERE
from .trace import trace
from .verdict import Judge, Verdict

MOST_ROWS = 8


def explain(
    predictor: Predictor,
    image: GivenImage,
    box: Sequence[float],
    class_name: str | None = None,
    *,
    iou: float = 0.5,
    name: str = "",
) -> Explanation:
    """Why a predictor misses an object, or how it finds it.

    Args:
        predictor: of a one-stage detector; its thresholds, slices and views count.
        image: a BGR uint8 (H, W, 3) array, a path or a Pillow image.
        box: of the object, x1, y1, x2, y2 px of the image.
        class_name: of the object; None: the class whose candidate goes farthest.
        iou: least IoU of a detection that counts as finding it.
        name: of the image, for the text.

    Raises:
        ValueError: a box that is none or lies outside the image, a class that the detector does
            not have, or a two-stage detector; ImageError: an image that cannot be read.
    """
    array = bgr_image(image)
    checked = check_box(box, array.shape[:2])
    classes = [class_number(predictor.class_names, class_name)] if class_name else None
    seen = look(predictor, array)
    selection = predictor.model.proposal_generator.test_selection
    traced = trace(seen, selection)
    judges = [
        Judge(
            seen=seen,
            selection=selection,
            objects=Objects.of([checked], [k]),
            iou=iou,
            traced=traced,
        )
        for k in (classes or range(len(predictor.class_names)))
    ]
    judge = judges[0] if len(judges) == 1 else max(judges, key=_how_far)
    return explanation(judge, 0, name=name, class_was_given=class_name is not None)


def check_box(box: Sequence[float], image_size: tuple[int, int]) -> list[float]:
    """The box as four floats.

    Raises:
        ValueError: it has no area, or lies outside the image.
    """
    values = [float(x) for x in box]
    if len(values) != 4 or not all(map(math.isfinite, values)):
        raise ValueError(f"box {list(box)}: four numbers are needed, x1,y1,x2,y2 in px")
    x0, y0, x1, y1 = values
    text = ",".join(f"{x:g}" for x in values)
    if x1 <= x0 or y1 <= y0:
        raise ValueError(
            f"box {text} has no area: x2 must be above x1, and y2 above y1 (corners, not sizes)"
        )
    height, width = image_size
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        raise ValueError(
            f"box {text} lies outside the image, which is {width} x {height} px: give it in px of "
            "the image"
        )
    return values


def class_number(names: Sequence[str], wanted: str) -> int:
    """The number of a class.

    Raises:
        ValueError: the detector does not have it.
    """
    if wanted not in names:
        raise ValueError(
            f"class {wanted!r} is unknown to the detector, whose classes are {', '.join(names)}"
        )
    return list(names).index(wanted)


def _how_far(judge: Judge) -> tuple:
    """By which of several classes an object is judged, where none is given."""
    verdict = judge.verdict(0)
    class_idx = int(judge.objects.classes[0])
    if verdict.step == FOUND:
        assert verdict.detection is not None, verdict
        return 2, float(judge.trace.found.scores[verdict.detection]), 0.0
    if verdict.location is None:  # of whichever class: then the nearest detection decides
        near = judge.overlaps[0][judge.trace.found.pred_classes == class_idx]
        return 0, float(near.max()) if len(near) else 0.0, 0.0
    return 1, verdict.passed, float(judge.surety(class_idx)[verdict.location])


def explanation(
    judge: Judge, i: int, *, name: str = "", class_was_given: bool = True
) -> Explanation:
    """Of one of the objects of an image.

    Args:
        judge: of the image.
        i: the object.
        name: of the image.
        class_was_given: False has the text say that the class was chosen.
    """
    verdict = judge.verdict(i)
    class_idx = int(judge.objects.classes[i])
    locations = _locations(judge, i, verdict)
    view = judge.seen.view_of(locations[0])
    found_by = learned.who_learns(view, judge.seen.generator, judge.objects, i)
    ious, passed = judge.ious(i), judge.trace.passed(class_idx)
    rows = [
        _row(judge, x, class_idx, view, found_by, iou=float(ious[x]), passed=int(passed[x]))
        for x in locations
    ]
    remedy = without_cause(judge, i, verdict)
    box = judge.objects.boxes[i : i + 1]
    facts = wording.Facts(
        judge=judge,
        i=i,
        verdict=verdict,
        view=view,
        rows=rows,
        learned=found_by,
        remedy=remedy,
        name=name,
        class_was_given=class_was_given,
    )
    return Explanation(
        step=verdict.step,
        paragraph=wording.paragraph(facts),
        rows=rows,
        class_name=judge.seen.class_names[class_idx],
        box=tuple(box[0].tolist()),
        id=judge.objects.ids[i] if judge.objects.ids else None,
        image=name,
        image_size=(judge.seen.inputs["height"], judge.seen.inputs["width"]),
        input_size=view.input_size,
        input_box=tuple(view.to_input(box)[0].tolist()),
        could_learn=int(found_by.alone.sum()),
        learn=int(found_by.together.sum()),
        remedy=remedy.change if remedy else None,
        step_after=remedy.step if remedy else None,
        drawer=partial(draw, judge, i, locations[0], found_by, rows),
    )


def _locations(judge: Judge, i: int, verdict: Verdict) -> list[int]:
    """The locations of the table: those that fit and go farthest, then those that fit best."""
    farthest = judge.farthest(i)[:MOST_ROWS]
    if verdict.detection is not None:
        own = int(judge.trace.found.location_idxs[verdict.detection])
        others = [x for x in farthest if x != own]
        tells_most = verdict.step in (FOUND, MATCHED_ELSEWHERE, CAP) or not others
        farthest = [own, *others] if tells_most else [others[0], own, *others[1:]]
    best = judge.ious(i).argsort(descending=True, stable=True)[: 2 * MOST_ROWS].tolist()
    return [*farthest, *(x for x in best if x not in farthest)][:MOST_ROWS]


def _row(
    judge: Judge,
    location: int,
    class_idx: int,
    main_view: SeenView,
    found_by: learned.Learned,
    *,
    iou: float,
    passed: int,
) -> Row:
    seen, gates = judge.seen, judge.trace.gates
    view = seen.view_of(location)
    level, place = view.level_of(location)
    locations, cls_logits, _, quality_logits = view.predictions
    probabilities = cls_logits[level][place].sigmoid()
    probability, surest = float(probabilities[class_idx]), int(probabilities.argmax())
    quality = float(quality_logits[level][place].sigmoid()) if quality_logits else None
    score = probability if quality is None else math.sqrt(probability * quality)
    x, y = view.to_image_points(locations[level][place]).tolist()
    return Row(
        view=seen.views.index(view),
        level=seen.generator.in_features[level],
        stride=seen.generator.strides[level],
        x=x,
        y=y,
        class_probability=probability,
        quality=quality,
        score=score,
        surest_class=seen.class_names[surest],
        surest_probability=float(probabilities[surest]),
        box=tuple(judge.trace.boxes[location].tolist()),
        iou=iou,
        went_at="kept" if passed == len(gates) else gates[passed].step,
        learns=view is main_view and bool(found_by.together[location - view.first_location]),
    )
