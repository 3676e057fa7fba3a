"""The card of a model for a hub, in Markdown, from the numbers of its report."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import yaml

from fcos_deploy.text import shown

from .facts import data_name, facts, model_name
from .figures import few_boxes
from .view import NAMES, Numbers, choice_of, count, interval_of, is_number, number, share

# What hubs call the licences that weights come with.
LICENCES = ("apache-2.0", "bsd-3-clause", "mit", "cc-by-4.0", "cc-by-nc-4.0")
# Paths of the machine, which are nobody's business on a hub; the report has them.
# "trained from" stands under the licence.
LEFT_OUT = (
    *("made: command", "data: source", "data: folder", "data: results", "model: weights"),
    "trained from",
)
_MARKED = re.compile(r"([\\`*_{}\[\]()#+!|~])")


def model_card(numbers: Numbers) -> str:
    """Markdown with a front matter in yaml."""
    front = yaml.safe_dump(_front(numbers), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n{_body(numbers)}"


def hub_licence(origins: Sequence[Mapping[str, str]]) -> str:
    """What a hub calls the licence of the weights that training started from.

    "unknown" where it started from none: then its owner chooses; "other" for several licences, or
    one that hubs have no name for.
    """
    if not origins:
        return "unknown"
    names = {_hub_name(origin["licence"]) for origin in origins}
    return names.pop() if len(names) == 1 else "other"


def escaped(name: object) -> str:
    """A name as Markdown that shows it as it is, on one line."""
    text = shown(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKED.sub(r"\\\1", text)


def _hub_name(licence: str) -> str:
    first = licence.split(" ")[0].lower()
    return first if first in LICENCES else "other"


def _origins(numbers: Numbers) -> Sequence[Mapping[str, str]]:
    return (numbers["model"] or {}).get("origins") or []


def _front(numbers: Numbers) -> dict[str, Any]:
    metrics = [
        {"type": "map", "name": name, "value": round(x["value"], 2)}
        for name, x in numbers["figures"].items()
        if is_number(x["value"])
    ]
    result = {
        "task": {"type": "object-detection"},
        "dataset": {"type": "custom", "name": shown(data_name(numbers))},
        "metrics": metrics,
    }
    ours = {"library_name": "fcos_d2", "tags": ["object-detection", "fcos", "detectron2"]}
    return {
        "license": hub_licence(_origins(numbers)),
        **(ours if numbers["model"] is not None else {}),
        "pipeline_tag": "object-detection",
        "metrics": ["map"],
        "model-index": [{"name": shown(model_name(numbers)), "results": [result]}],
    }


def _body(numbers: Numbers) -> str:
    data = numbers["data"]
    names = ", ".join(map(escaped, data["classes"]))
    kind = "A detector" if numbers["model"] is None else "An FCOS detector (arXiv 1904.01355)"
    parts = [
        f"# {escaped(model_name(numbers))}",
        f"{kind} of {len(data['classes'])} classes: {names}.",
        "## How good it is",
        f"Measured on {escaped(data_name(numbers))}: {count(data['images'])} images with "
        f"{count(data['boxes'])} boxes. Intervals: 95 %, over the images.",
        _table(("figure", "value", "interval", "boxes"), _figure_lines(numbers["figures"])),
        "By class:",
        _table(
            ("class", "AP", "interval", "boxes"),
            [_line(escaped(x["name"]), x["figures"]["AP"]) for x in numbers["classes"]],
        ),
        *_threshold(numbers),
        "## Licence",
        _licence(numbers),
        "## How it was made",
        _table(
            ("", ""),
            [(escaped(k), escaped(v)) for k, v in facts(numbers) if k not in LEFT_OUT],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _figure_lines(figures: Numbers) -> list[tuple[str, ...]]:
    return [_line(NAMES.get(name, name), figure) for name, figure in figures.items()]


def _line(name: str, figure: Numbers) -> tuple[str, ...]:
    few = few_boxes(figure["boxes"])
    boxes = count(figure["boxes"]) + (" (means little)" if few else "")
    return name, number(figure["value"]), interval_of(figure), boxes


def _threshold(numbers: Numbers) -> list[str]:
    best = choice_of(numbers["thresholds"], "f1")
    if best is None or best["threshold"] is None:
        return []
    return [
        f"At a threshold of {best['threshold']:.3f}, the best for F1, {share(best['precision'])} "
        f"of its boxes are right, and it finds {share(best['recall'])} of the objects (IoU 0.5)."
    ]


def _licence(numbers: Numbers) -> str:
    origins = _origins(numbers)
    if numbers["model"] is None:
        return "Not known: the numbers are those of a file of detections."
    if not origins:
        return "Trained from random weights: the licence is its owner's choice."
    lines = [
        f"- {_weights(x['weights'])} ({escaped(x['source'])}): {escaped(x['licence'])}"
        for x in origins
    ]
    return "\n".join(["Trained from these weights, whose licence goes with it:", "", *lines])


def _weights(name: str) -> str:
    """An address as it is; of a file, its name."""
    return escaped(name if "://" in name else PurePath(name).name)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
