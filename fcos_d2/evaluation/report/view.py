"""The numbers of a report in the words and charts of its page."""

import math
from collections.abc import Mapping, Sequence
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
                "interval": interval_of(figure),
                "chart": whisker(value, figure.get("low"), figure.get("high")),
                "boxes": count(figure["boxes"]),
                "images": count(figure["images"]),
                "note": few_boxes(figure["boxes"]) if is_number(value) else "",
                "before": number(before),
                "change": f"{change:+.1f}" if known else NONE,
                "direction": "up" if change > 0 else "down" if change < 0 else "",
            }
        )
    return rows


def is_number(value: object) -> bool:
    """Whether there is a figure: reports hold NaN, and their files null, where there is none."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def interval_of(figure: Numbers) -> str:
    """In which a figure lies: a dash where that is not known, "" for one that has none."""
    if "low" not in figure:
        return ""
    low, high = number(figure["low"]), number(figure["high"])
    return NONE if NONE in (low, high) else f"{low} to {high}"


def verdict(numbers: Numbers) -> list[dict[str, str]]:
    """The numbers at the head of the page."""
    items = [
        {
            "value": number(numbers["figures"][name]["value"]),
            "label": name,
            "note": f"95 % interval {interval_of(numbers['figures'][name])}",
        }
        for name in ("AP", "AP50")
    ]
    best = choice_of(numbers["thresholds"], "f1")
    if best is not None and best["threshold"] is not None:
        note = f"at a threshold of {best['threshold']:.3f}, which gives the best F1"
        items += [
            {"value": share(best["recall"]), "label": "of the objects are found", "note": note},
            {"value": share(best["precision"]), "label": "of the boxes are right", "note": note},
        ]
    return items


def choice_of(thresholds: Numbers, wanted: str) -> Numbers | None:
    """The threshold for all classes that gives what is wanted; None where none was looked for."""
    found = (x["overall"] for x in thresholds["choices"] if x["wanted"] == wanted)
    return next(found, None)


def thresholds_view(found: Numbers, set_threshold: str) -> dict[str, Any]:
    """Precision, recall and F1 over the threshold, and the thresholds for what one may want.

    Args:
        found: of the numbers.
        set_threshold: the command that sets the best for F1; "" where there is none.
    """
    keys = ("score", "precision", "recall", "f1")
    score, precision, recall, f1 = (_array(found["curve"][key]) for key in keys)
    best = choice_of(found, "f1")
    over, trade = [], []
    if best is not None and best["threshold"] is not None:
        said = f"best F1 {best['f1']:.3f} at {best['threshold']:.3f}"
        over = [(best["threshold"], best["f1"], said)]
        trade = [(best["recall"], best["precision"], said)]
    lines = [
        Curve(name="F1", style="third", x=score, y=f1),
        Curve(name="precision", style="first", x=score, y=precision),
        Curve(name="recall", style="second", x=score, y=recall),
    ]
    pair = [Curve(name="precision over recall", style="first", x=recall, y=precision)]
    choices = found["choices"]
    return {
        "sentence": _threshold_sentence(best),
        "over_score": curve_chart(lines, "threshold", "share", over),
        "trade": curve_chart(pair, "recall", "precision", trade),
        "choices": [_choice_row(x["wanted"], x["overall"]) for x in choices],
        "command": set_threshold if best and best["threshold"] is not None else "",
        "wishes": ", ".join(x["wanted"] for x in choices if x["wanted"] != "f1"),
        "guarantee": found["guarantee"],
        "wanted": [_in_words(x["wanted"]) for x in choices],
        "by_class": _by_class(choices),
    }


def _array(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if x is None else x for x in values], dtype=np.float64)


def _by_class(choices: Sequence[Numbers]) -> list[tuple[str, list[str]]]:
    """The thresholds of each class; none where there is just one class."""
    columns = [x["classes"] for x in choices]
    if not columns or len(columns[0]) < 2:
        return []
    return [
        (cells[0]["name"], [number(x["threshold"], 3) for x in cells])
        for cells in zip(*columns, strict=True)
    ]


def _threshold_sentence(best: Numbers | None) -> str:
    if best is None:
        return "What a threshold gives."
    if best["threshold"] is None:
        return f"No threshold gives an F1: {best['reason']}."
    return (
        f"The best balance is a threshold of {best['threshold']:.3f}: {share(best['precision'])} "
        f"of the boxes are right, and {share(best['recall'])} of the objects are found."
    )


def _in_words(wanted: str) -> str:
    kind, _, value = wanted.partition("=")
    if not value:
        return "best F1" if wanted == "f1" else wanted
    percent = f"{100 * float(value):g} %"
    words = {
        "precision": f"{percent} of the boxes right",
        "recall": f"{percent} of the objects found",
        "miss": f"at most {percent} missed",
    }
    return words.get(kind, wanted)


def _choice_row(wanted: str, choice: Numbers) -> dict[str, str]:
    return {
        "wanted": _in_words(wanted),
        "threshold": number(choice["threshold"], 3),
        "reason": choice["reason"],
        **{key: number(choice[key], 3) for key in ("precision", "recall", "f1")},
    }
