"""The page of a report, one HTML file, and its model card, from the numbers and the gallery."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fcos_deploy.writing import write_text

from ...pages import render
from .facts import command_of, facts, flat, title_of, with_flag
from .gallery import Part
from .model_card import model_card
from .view import NONE, Numbers, count, figure_rows, is_number, number, thresholds_view, verdict
from .view_errors import calibration_view, confusion_view, errors_view, images_view

PAGE, CARD = "report.html", "model_card.md"
CONTENTS = {
    "figures": "AP",
    "classes": "classes",
    "thresholds": "threshold",
    "confusion": "confusions",
    "calibration": "scores",
    "errors": "errors",
    "mistakes": "mistakes",
    "images": "images",
    "slices": "slices",
    "speed": "speed",
    "settings": "settings",
}


def write_page(
    numbers: Numbers, gallery: Sequence[Part], folder: Path, earlier: Numbers | None = None
) -> Path:
    """Writes report.html and model_card.md.

    Args:
        numbers: of the report.
        gallery: the worst mistakes; empty where no images are at hand.
        folder: that exists.
        earlier: numbers of another report, which the page shows beside these.

    Returns:
        The page.
    """
    write_text(folder / PAGE, page(numbers, gallery, earlier))
    write_text(folder / CARD, model_card(numbers))
    return folder / PAGE


def page(numbers: Numbers, gallery: Sequence[Part], earlier: Numbers | None = None) -> str:
    """The HTML; see `write_page`."""
    before = earlier or {}
    # Without weights there is no config to write it into.
    command = command_of(numbers) if numbers["model"] else ""
    set_threshold = with_flag(command, "--set-threshold f1")
    values: dict[str, Any] = {
        "figures": {
            "sentence": _figures_sentence(numbers),
            "rows": figure_rows(numbers["figures"], before.get("figures")),
        },
        "classes": _classes_view(numbers["classes"], before.get("classes", [])),
        "thresholds": thresholds_view(numbers["thresholds"], set_threshold),
        "confusion": confusion_view(numbers["confusion"]),
        "calibration": calibration_view(numbers["calibration"]),
        "errors": errors_view(numbers["tide"]) if numbers["tide"] else None,
        "mistakes": [part for part in gallery if part.total],
        "images": images_view(numbers["images"]),
        "slices": _slices_view(numbers["slices"], before.get("slices", [])),
        "speed": _speed_view(numbers, before) if numbers["speed"] else None,
        "settings": facts(numbers),
        "config": (numbers["model"] or {}).get("config"),
    }
    return render(
        "report.html",
        title=title_of(numbers),
        subtitle=_subtitle(numbers, earlier),
        verdict=verdict(numbers),
        contents=[(key, name) for key, name in CONTENTS.items() if values[key]],
        before=earlier is not None,
        gallery=values.pop("mistakes"),
        **values,
    )


def _subtitle(numbers: Numbers, earlier: Numbers | None) -> str:
    data = numbers["data"]
    parts = [f"{count(data['images'])} images with {count(data['boxes'])} boxes"]
    if made := numbers["made"].get("time"):
        parts.append(str(made).replace("T", " ")[:16])
    if earlier is not None:
        parts.append(f"beside {title_of(earlier)}")
    return ", ".join(parts)


def _figures_sentence(numbers: Numbers) -> str:
    ap = numbers["figures"]["AP"]
    if not is_number(ap["value"]):
        return "There is nothing to measure: the data have no boxes."
    text = f"AP is {number(ap['value'])}."
    if is_number(ap["low"]) and is_number(ap["high"]):
        text += (
            f" Other images like these could as well have given {number(ap['low'])} or "
            f"{number(ap['high'])}: that is its 95 % interval."
        )
    return text


def _classes_view(classes: Sequence[Numbers], earlier: Sequence[Numbers]) -> dict[str, Any] | None:
    if len(classes) < 2:
        return None
    figures, before = ({x["name"]: x["figures"]["AP"] for x in some} for some in (classes, earlier))
    known = {name: x["value"] for name, x in figures.items() if is_number(x["value"])}
    sentence = "No class has a box."
    if known:
        best, worst = (pick(known, key=known.__getitem__) for pick in (max, min))
        sentence = (
            f"{best} is found best, with an AP of {number(known[best])}, and {worst} worst, with "
            f"{number(known[worst])}."
        )
    return {"sentence": sentence, "rows": figure_rows(figures, before)}


def _slices_view(slices: Sequence[Numbers], earlier: Sequence[Numbers]) -> dict[str, Any] | None:
    before = {x["by"]: _parts(x) for x in earlier}
    groups = [(x["by"], figure_rows(_parts(x), before.get(x["by"]))) for x in slices]
    sentence = "AP on parts of the images. Without intervals: small parts differ by chance."
    return {"sentence": sentence, "groups": groups} if groups else None


def _parts(found: Numbers) -> dict[str, Numbers]:
    return {part["name"]: {**part, "value": part["AP"]} for part in found["parts"]}


def _speed_view(numbers: Numbers, earlier: Numbers) -> dict[str, Any]:
    rows = [*flat(numbers["speed"])]
    before = dict(flat(earlier.get("speed") or {}))
    if before:
        rows = [(name, f"{value} (before: {before.get(name, NONE)})") for name, value in rows]
    return {"sentence": "On the machine that made this report.", "rows": rows}
