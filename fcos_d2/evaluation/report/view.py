"""The numbers of a report in the words and charts of its page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from .charts import Curve, bar, calibration_chart, curve_chart, whisker

Numbers = Mapping[str, Any]
FEW = 20  # boxes, below which a figure means little
FIGURES = {
    "AP": "AP, IoU 0.50 to 0.95",
    "AP50": "AP50, IoU 0.50",
    "AP75": "AP75, IoU 0.75",
    "APs": "small, below 32 x 32 px",
    "APm": "medium",
    "APl": "large, above 96 x 96 px",
}
MATRIX = 12  # classes, above which the whole matrix is folded away
PAIRS = 10  # of classes that are mixed up
FIRST_IMAGES, MOST_IMAGES = 20, 1000
NONE = "–"  # noqa: RUF001  # as in tables


def number(value: float | None, digits: int = 1) -> str:
    """With so many decimals; a dash for none."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:.{digits}f}"


def count(value: int | None) -> str:
    """With commas; a dash for none."""
    return NONE if value is None else f"{value:,}"


def share(value: float | None) -> str:
    """As a percentage of one decimal."""
    return NONE if value is None or not math.isfinite(value) else f"{value:.1%}".replace("%", " %")


def figure_rows(
    figures: Mapping[str, Numbers], earlier: Mapping[str, Numbers] | None
) -> list[dict[str, Any]]:
    """Rows of AP with intervals.

    Args:
        figures: by name.
        earlier: the same of the report that it is compared with; None for no comparison.
    """
    rows = []
    for name, figure in figures.items():
        value, before = figure["value"], (earlier or {}).get(name, {}).get("value")
        change = None if None in (value, before) else value - before
        few = figure["boxes"] < FEW
        rows.append(
            {
                "name": FIGURES.get(name, name),
                "shown": number(value),
                "interval": _interval(figure),
                "chart": whisker(value, figure["low"], figure["high"]),
                "boxes": count(figure["boxes"]),
                "images": count(figure["images"]),
                "note": f"of {figure['boxes']} boxes: means little" if few else "",
                "before": number(before),
                "change": NONE if change is None else f"{change:+.1f}",
                "direction": "" if not change else "up" if change > 0 else "down",
            }
        )
    return rows


def _interval(figure: Numbers) -> str:
    low, high = number(figure["low"]), number(figure["high"])
    return NONE if NONE in (low, high) else f"{low} – {high}"  # noqa: RUF001
