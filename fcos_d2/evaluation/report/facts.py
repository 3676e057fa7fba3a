"""What made a report: names, settings, versions and hashes as rows of two texts."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...checkpoint.origins import origins_in_words
from .view import Numbers, count, number

REPORT = "fcos report"
SECTIONS = ("made", "model", "data", "metric", "versions", "machine")
LEFT_OUT = ("config", "origins", "classes")  # that are shown elsewhere
LONG = 12  # of a list, above which its length alone is said


def title_of(numbers: Numbers) -> str:
    """The detector and the data."""
    return f"{model_name(numbers)} on {data_name(numbers)}"


def data_name(numbers: Numbers) -> str:
    """The end of the path of the data: enough to know them by, and not whose machine it was."""
    return _end_of(Path(str(numbers["data"]["source"])))


def _end_of(path: Path) -> str:
    """A file with its folder, but not with somebody's home."""
    home = Path.home()
    if path.is_relative_to(home):
        path = path.relative_to(home)
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    return "/".join(parts[-2:] if ".." not in path.parts else parts[-1:])


def model_name(numbers: Numbers) -> str:
    """What the detector is called: its own name, or that of the folder of its weights."""
    model = numbers["model"] or {}
    if name := model.get("name"):
        return str(name)
    weights = Path(str(model.get("weights") or ""))
    folder = "" if weights.parent == Path.home() else weights.parent.name
    return folder or weights.stem or "Detections"


def weights_of(numbers: Numbers) -> str:
    """The file of the detector; "" where only its detections are at hand."""
    return str((numbers["model"] or {}).get("weights") or "")


def command_of(numbers: Numbers) -> str:
    """The command that makes the report, to which flags can be added; "" where that is unknown."""
    command = str(numbers["made"].get("command") or "")
    if command.startswith(REPORT):
        return command
    weights = weights_of(numbers)
    return f"{REPORT} --weights {shlex.quote(weights)}" if weights else ""


def with_flag(command: str, flag: str) -> str:
    """A command of `fcos report` with one more flag, before overrides that may end it."""
    return command and f"{REPORT} {flag}{command.removeprefix(REPORT)}"


def facts(numbers: Numbers) -> list[tuple[str, str]]:
    """Rows for the page and the card."""
    rows = licences(numbers)
    for section in SECTIONS:
        found = numbers[section] or {}
        short = {key: value for key, value in found.items() if key not in LEFT_OUT}
        rows += [(f"{section}: {name}", value) for name, value in flat(short)]
    return rows


def licences(numbers: Numbers) -> list[tuple[str, str]]:
    """Of the weights that the model was trained from."""
    origins = (numbers["model"] or {}).get("origins") or []
    return [("trained from", origins_in_words([x])) for x in origins]


def flat(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values of a dict, with what dicts in it hold."""
    for key, value in values.items():
        name = key.replace("_", " ")
        if isinstance(value, Mapping):
            for inner, text in flat(value):
                yield f"{name}, {inner}", text
        else:
            yield name, _said(value)


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float) or value is None:
        return number(value, 2)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_said, value)) if len(value) <= LONG else f"{len(value)} values"
    return str(value)
