"""The parts of the gallery: false detections, misses, confusions and doubtful labels."""

from collections.abc import Sequence
from pathlib import Path

from ..matches import Matches
from ..results import DetectionSet
from .facts import weights_of
from .gallery import Commands, Mistake, Part, draw, spread
from .mistakes import find_mistakes
from .view import Numbers

SHOWN = 12  # of each kind
EXPLANATIONS = {
    "False detections": "The surest boxes that are wrong; some may be objects without a label.",
    "Misses": "The largest objects that no box has found; the command says at which step they "
    "were lost.",
    "Confusions": "In place, but of another class.",
    "Doubtful labels": "Where a sure detection and the label contradict each other: perhaps the "
    "label is wrong.",
}


def build_gallery(data: DetectionSet, matches: Matches, numbers: Numbers) -> list[Part]:
    """The worst mistakes with pictures.

    Args:
        data, matches: of the set.
        numbers: of its report.
    """
    threshold = numbers["threshold"]
    found = find_mistakes(data, matches, threshold)
    doubtful = [_doubtful(x) for x in numbers["label_errors"]["worst"]]
    kinds: list[Sequence[Mistake]] = [found.false, found.missed, found.confused, doubtful]
    totals = [*map(len, kinds[:3]), numbers["label_errors"]["count"]]
    shown = [spread(kind, SHOWN) for kind in kinds]
    drawn = draw(data, shown, threshold, commands_of(numbers))
    rows = zip(EXPLANATIONS.items(), totals, drawn, strict=True)
    return [
        Part(name=name, total=total, explanation=explanation, pictures=pictures)
        for (name, explanation), total, pictures in rows
    ]


def commands_of(numbers: Numbers) -> Commands:
    """With the config that was run, unless it is just the one beside the weights."""
    weights, config = weights_of(numbers), (numbers["model"] or {}).get("config_file", "")
    beside = Path(weights).parent / "config.yaml"
    chosen = {"--config", "--opts"} & {*str(numbers["made"].get("command") or "").split()}
    is_usual = beside.is_file() and not chosen
    return Commands(weights, numbers["threshold"], "" if is_usual else config)


def _doubtful(found: Numbers) -> Mistake:
    said = f"{found['name']} {found['score']:.2f}"
    if found["label"] is not None:
        said += f", labelled {found['label']}"
    box, label_box = found["box"], found["label_box"]
    return Mistake(
        image=found["image"],
        title=said,
        note=found["question"],
        found=tuple(box),
        labelled=tuple(label_box) if label_box is not None else None,
    )
