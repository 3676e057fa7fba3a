"""The page of a report, one HTML file, and its model card, from the numbers and the gallery."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fcos_deploy.text import read_json
from fcos_deploy.writing import write_text

from ...pages import render
from .gallery import Part
from .model_card import model_card
from .view import Numbers, count, figure_rows, thresholds_view, verdict
from .view_errors import calibration_view, confusion_view, errors_view, images_view

PAGE, NUMBERS, CARD = "report.html", "report.json", "model_card.md"
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


def read_earlier(path: Path) -> Numbers:
    """The numbers of another report.

    Args:
        path: its report.json, or its folder.

    Raises:
        ValueError: there is none, or it is no report.
    """
    file = path / NUMBERS if path.is_dir() else path
    content = read_json(file)
    if not isinstance(content, dict) or "figures" not in content:
        raise ValueError(f"{file}: no report: give a report.json that `fcos report` has written")
    return content


def page(numbers: Numbers, gallery: Sequence[Part], earlier: Numbers | None = None) -> str:
    """The HTML; see `write_page`."""
    before = earlier or {}
    few = numbers["classes"] if len(numbers["classes"]) > 1 else {}
    values: dict[str, Any] = {
        "figures": {
            "sentence": _figures_sentence(numbers),
            "rows": figure_rows(numbers["figures"], before.get("figures")),
        },
        "classes": few and _classes_view(numbers["classes"], before.get("classes")),
        "thresholds": thresholds_view(numbers["thresholds"], ""),
        "confusion": confusion_view(numbers["confusion"]),
        "calibration": calibration_view(numbers["calibration"]),
        "errors": errors_view(numbers["errors"]),
        "mistakes": [part for part in gallery if part.total],
        "images": images_view(numbers["images"]),
        "slices": _slices_view(numbers["slices"], before.get("slices", {})),
        "speed": _speed_view(numbers["speed"]) if numbers.get("speed") else None,
        "settings": [*numbers["settings"].items()],
    }
    return render(
        "report.html",
        title=f"{numbers['model']['name']} on {numbers['data']['source']}",
        subtitle=_subtitle(numbers, earlier),
        verdict=verdict(numbers),
        contents=[(key, name) for key, name in CONTENTS.items() if values[key]],
        before=earlier is not None,
        gallery=values.pop("mistakes"),
        **values,
    )


def _subtitle(numbers: Numbers, earlier: Numbers | None) -> str:
    data = numbers["data"]
    text = f"{count(data['images'])} images, {count(data['boxes'])} boxes; {numbers['date']}"
    if earlier is not None:
        text += f"; beside {earlier['model']['name']} of {earlier['date']}"
    return text


def _figures_sentence(numbers: Numbers) -> str:
    ap = numbers["figures"]["AP"]
    if ap["value"] is None:
        return "There is nothing to measure: the data have no boxes."
    return (
        f"AP is {ap['value']:.1f}. Had other images like these been drawn, it would lie between "
        f"{ap['low']:.1f} and {ap['high']:.1f} in 95 of 100 cases."
    )


def _classes_view(
    classes: Mapping[str, Numbers], earlier: Mapping[str, Numbers] | None
) -> dict[str, Any]:
    known = {name: x["value"] for name, x in classes.items() if x["value"] is not None}
    sentence = "No class has a box."
    if known:
        best, worst = (pick(known, key=known.__getitem__) for pick in (max, min))
        sentence = (
            f"{best} is found best, with an AP of {known[best]:.1f}, and {worst} worst, with "
            f"{known[worst]:.1f}."
        )
    return {"sentence": sentence, "rows": figure_rows(classes, earlier)}


def _slices_view(
    slices: Mapping[str, Mapping[str, Numbers]], earlier: Mapping[str, Any]
) -> dict[str, Any] | None:
    groups = [(name, figure_rows(rows, earlier.get(name))) for name, rows in slices.items()]
    sentence = "The same AP on parts of the images: where intervals do not overlap, look closer."
    return {"sentence": sentence, "groups": groups} if groups else None


def _speed_view(speed: Numbers) -> dict[str, Any]:
    return {"sentence": "On the machine that made this report.", "rows": [*speed.items()]}
