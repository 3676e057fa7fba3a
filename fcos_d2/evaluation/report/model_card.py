"""The card of a model for a hub, in Markdown, from the numbers of its report."""

import re
from typing import Any

import yaml

from fcos_deploy.text import shown

from .view import FIGURES, NONE, Numbers, count, number

# What hubs call the licences that weights come with.
LICENCES = ("apache-2.0", "bsd-3-clause", "mit", "cc-by-4.0", "cc-by-nc-4.0")
_MARKED = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")


def model_card(numbers: Numbers) -> str:
    """Markdown with a front matter in yaml."""
    front = yaml.safe_dump(_front(numbers), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n{_body(numbers)}"


def hub_licence(origins: list[dict[str, str]]) -> str:
    """What a hub calls the licence of the weights that training started from.

    "unknown" where it started from none: then its owner chooses; "other" for several licences, or
    one that hubs have no name for.
    """
    if not origins:
        return "unknown"
    names = {_hub_name(origin["licence"]) for origin in origins}
    return names.pop() if len(names) == 1 else "other"


def _hub_name(licence: str) -> str:
    first = licence.split(" ")[0].lower()
    return first if first in LICENCES else "other"


def _front(numbers: Numbers) -> dict[str, Any]:
    metrics = [
        {"type": "map", "name": name, "value": round(x["value"], 2)}
        for name, x in numbers["figures"].items()
        if x["value"] is not None
    ]
    source = shown(numbers["data"]["source"])
    result = {
        "task": {"type": "object-detection"},
        "dataset": {"type": "custom", "name": source},
        "metrics": metrics,
    }
    return {
        "license": hub_licence(numbers["model"]["origins"]),
        "library_name": "fcos_d2",
        "pipeline_tag": "object-detection",
        "tags": ["object-detection", "fcos", "detectron2"],
        "metrics": ["map"],
        "model-index": [{"name": shown(numbers["model"]["name"]), "results": [result]}],
    }


def escaped(name: object) -> str:
    """A name as Markdown that shows it as it is, on one line."""
    return _MARKED.sub(r"\\\1", shown(name)).replace("\\<", "&lt;").replace("\\>", "&gt;")
