"""The numbers of a report in the words and charts of its page."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .charts import Curve, curve_chart, whisker
from .figures import few_boxes

Numbers = Mapping[str, Any]
NAMES = {
    "AP": "AP, IoU 0.50 to 0.95",
    "AP50": "AP50, IoU 0.50",
    "AP75": "AP75, IoU 0.75",
    "APs": "small, below 32 x 32 px",
    "APm": "medium",
    "APl": "large, above 96 x 96 px",
}
NONE = "-"


def number(value: float | None, digits: int = 1) -> str:
    """With so many decimals; a dash for none."""
    return f"{value:.{digits}f}" if is_number(value) else NONE


def count(value: int | None) -> str:
    """With commas; a dash for none."""
    return NONE if value is None else f"{value:,}"


def share(value: float | None) -> str:
    """As a percentage of one decimal."""
    return f"{value:.1%}".replace("%", " %") if is_number(value) else NONE


def figure_rows(
    figures: Mapping[str, Numbers], earlier: Mapping[str, Numbers] | None
) -> list[dict[str, Any]]:
    """Rows of AP, with intervals where there are some.

    Args:
        figures: by name.
        earlier: the same of the report that it is compared with; None for no comparison.
    """
    rows = []
    for name, figure in figures.items():
        value, before = figure["value"], (earlier or {}).get(name, {}).get("value")
        change = value - before if is_number(value) and is_number(before) else 0.0
        known = is_number(value) and is_number(before)
        rows.append(
            {
                "name": NAMES.get(name, name),
                "shown": number(value),
                "interval": _interval(figure),
                "chart": whisker(value, figure.get("low"), figure.get("high")),
                "boxes": count(figure["boxes"]),
                "images": count(figure["images"]),
                "note": few_boxes(figure["boxes"]),
                "before": number(before),
                "change": f"{change:+.1f}" if known else NONE,
                "direction": "up" if change > 0 else "down" if change < 0 else "",
            }
        )
    return rows


def is_number(value: object) -> bool:
    """Whether there is a figure: reports hold NaN, and their files null, where there is none."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def _interval(figure: Numbers) -> str:
    low, high = number(figure.get("low")), number(figure.get("high"))
    return NONE if NONE in (low, high) else f"{low} to {high}"


def verdict(numbers: Numbers) -> list[dict[str, str]]:
    """The four numbers at the head of the page."""
    ap, ap50 = numbers["figures"]["AP"], numbers["figures"]["AP50"]
    items = [
        {"value": number(ap["value"]), "label": "AP", "note": f"95 % interval {_interval(ap)}"},
        {
            "value": number(ap50["value"]),
            "label": "AP50",
            "note": f"95 % interval {_interval(ap50)}",
        },
    ]
    best = numbers["thresholds"]["choices"]["f1"]["overall"]
    if best["threshold"] is not None:
        note = f"at a threshold of {best['threshold']:.2f}, which gives the best F1"
        items += [
            {"value": share(best["recall"]), "label": "of the objects are found", "note": note},
            {"value": share(best["precision"]), "label": "of the boxes are right", "note": note},
        ]
    return items


def thresholds_view(found: Numbers, report: str) -> dict[str, Any]:
    """Precision, recall and F1 over the threshold, and the thresholds for what one may want.

    Args:
        found: of the numbers.
        report: the command that has made the report; "" where there is none.
    """
    curve, choices = found["curve"], found["choices"]
    score, precision, recall, f1 = (
        np.array(curve[key], dtype=np.float64) for key in ("score", "precision", "recall", "f1")
    )
    best = choices["f1"]["overall"]
    marks, trade = [], []
    if best["threshold"] is not None:
        said = f"best F1 {best['f1']:.2f} at {best['threshold']:.2f}"
        marks = [(best["threshold"], best["f1"], said)]
        trade = [(best["recall"], best["precision"], said)]
    lines = [
        Curve(name="F1", style="third", x=score, y=f1),
        Curve(name="precision", style="first", x=score, y=precision),
        Curve(name="recall", style="second", x=score, y=recall),
    ]
    over = curve_chart(lines, "threshold", "share", marks)
    pair = [Curve(name="precision over recall", style="first", x=recall, y=precision)]
    by_class = [
        (name, [number(x["by_class"][name]["threshold"], 2) for x in choices.values()])
        for name in best_names(choices)
    ]
    return {
        "sentence": _threshold_sentence(best),
        "over_score": over,
        "trade": curve_chart(pair, "recall", "precision", trade),
        "choices": [_choice_row(wanted, x["overall"]) for wanted, x in choices.items()],
        "commands": [f"{report} --set-threshold f1"] if report else [],
        "guarantee": GUARANTEE if any(x.startswith("miss") for x in choices) else "",
        "wanted": list(choices),
        "by_class": by_class,
    }


GUARANTEE = (
    "miss=0.1: a new image, drawn as these were, misses at most 10 % of its objects on average. "
    "That holds for the mean over images and not for each image or class, and no longer when "
    "camera, place or season change. The other thresholds are the best on these images, "
    "without any guarantee for new ones."
)


def best_names(choices: Numbers) -> list[str]:
    """The classes that have thresholds of their own; none where there is just one."""
    names = list(choices["f1"]["by_class"])
    return names if len(names) > 1 else []


def _threshold_sentence(best: Numbers) -> str:
    if best["threshold"] is None:
        return f"No threshold gives an F1: {best['reason']}."
    return (
        f"The best balance is a threshold of {best['threshold']:.2f}: {share(best['precision'])} "
        f"of the boxes are right, and {share(best['recall'])} of the objects are found."
    )


def _choice_row(wanted: str, choice: Numbers) -> dict[str, str]:
    kind, _, value = wanted.partition("=")
    words = {
        "f1": "best F1",
        "precision": f"precision of {value}",
        "recall": f"recall of {value}",
        "miss": f"at most {value} missed",
    }
    return {
        "wanted": words.get(kind, wanted),
        "threshold": number(choice["threshold"], 3),
        "reason": choice["reason"],
        **{key: number(choice[key], 3) for key in ("precision", "recall", "f1")},
    }
