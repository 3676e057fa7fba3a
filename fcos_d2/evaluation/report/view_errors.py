"""Confusions, calibration, errors and images in the words and charts of the page."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .charts import bar, calibration_chart
from .errors import costliest_error
from .view import Numbers, count, number, share

MATRIX = 12  # classes, above which the whole matrix is folded away
LARGEST_MATRIX = 100  # above which the page, which holds a megabyte for these, leaves it out
PAIRS = 10  # of classes that are mixed up
FIRST_IMAGES, MOST_IMAGES = 20, 1000
ERRORS = {
    "Cls": "class",
    "Loc": "place",
    "Both": "class and place",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed",
}
COLUMNS = {"f1": "F1", "boxes": "objects", "true": "found", "missed": "missed", "wrong": "false"}


def confusion_view(found: Numbers) -> dict[str, Any]:
    """The matrix of labelled and found classes, and what is mixed up most."""
    matrix = np.array(found["matrix"], dtype=np.int64)
    names = found["names"]
    off = matrix[:-1, :-1].copy()
    np.fill_diagonal(off, 0)
    worst = np.argsort(-off, axis=None, kind="stable")[:PAIRS]
    places = zip(*np.unravel_index(worst, off.shape), strict=True)
    pairs = [
        {"labelled": names[i], "found": names[j], "count": count(int(off[i, j]))}
        for i, j in places
        if off[i, j]
    ]
    missed, wrong = matrix[:-1, -1].sum(), matrix[-1, :-1].sum()
    labelled = matrix[:-1].sum()
    sentence = (
        f"At a threshold of {number(found['threshold'], 3)}, of {count(int(labelled))} labelled "
        f"objects {count(int(np.trace(matrix[:-1, :-1])))} are found with their class, "
        f"{count(int(off.sum()))} with another one, and {count(int(missed))} are missed; "
        f"{count(int(wrong))} boxes lie on nothing that is labelled."
    )
    return {
        "sentence": sentence,
        "names": names,
        "pairs": pairs,
        "rows": [_matrix_row(names, i, row) for i, row in enumerate(matrix.tolist())]
        if len(names) <= LARGEST_MATRIX
        else [],
        "closed": len(names) - 1 > MATRIX,
    }


def _matrix_row(names: list[str], i: int, row: list[int]) -> dict[str, Any]:
    total = sum(row)
    cells = []
    for j, value in enumerate(row):
        part = value / total if total else 0.0
        said = f"{names[i]} found as {names[j]}: {share(part)} of {count(total)}"
        empty = i == j == len(names) - 1
        cells.append(
            {
                "count": "" if empty else count(value),
                "share": f"{part:.3f}",
                "share_said": "" if empty else said,
                "style": "right" if i == j else "wrong",
            }
        )
    return {"name": names[i], "cells": cells}


def calibration_view(found: Numbers) -> dict[str, Any] | None:
    """How far scores are from the share of right detections; None without detections."""
    bins = [x for x in found["bins"] if x["detections"]]
    if not bins:
        return None
    keys = ("score", "precision", "detections")
    columns = [np.array([x[key] for x in bins], dtype=np.float64) for key in keys]
    off = number(100 * found["expected_error"])
    return {
        "sentence": f"A score is {off} points off the share of detections that are right, on "
        "average. Above the dashed line a detector is better than it says, below it worse.",
        "chart": calibration_chart(*columns),
    }


def errors_view(found: Numbers) -> dict[str, Any]:
    """TIDE's errors with the AP50 that each costs."""
    errors = found["errors"]
    worst = costliest_error(found)
    most = errors[worst]["cost"] if worst else 0.0
    rows = [
        {
            "name": ERRORS.get(name, name),
            "meaning": values["meaning"],
            "cost": number(values["cost"]),
            "bar": bar(values["cost"], most),
            "count": count(values["count"]),
        }
        for name, values in errors.items()
    ]
    sentence = f"AP50 is {number(found['AP50'])}, and no kind of error costs any of it."
    if worst:
        sentence = (
            f"AP50 is {number(found['AP50'])}. Without the errors of the kind “{ERRORS[worst]}” it "
            f"would be {number(most)} higher: that is the first thing to look at."
        )
    return {"sentence": sentence, "rows": rows}


def images_view(found: Sequence[Numbers]) -> dict[str, Any]:
    """The images from worst to best."""
    rows = [
        {"name": x["file_name"], "numbers": [_short(x[key]) for key in COLUMNS]}
        for x in found[:MOST_IMAGES]
    ]
    total = len(found)
    shown = "" if total <= MOST_IMAGES else f" The page has the worst {count(MOST_IMAGES)}."
    return {
        "sentence": f"{count(total)} images, those with the lowest F1 first.{shown}",
        "columns": [*COLUMNS.values()],
        "first": rows[:FIRST_IMAGES],
        "rest": rows[FIRST_IMAGES:],
        "more": f"{count(len(rows) - FIRST_IMAGES)} more",
    }


def _short(value: float | None) -> str:
    return number(value, 2) if isinstance(value, float) else count(value)
