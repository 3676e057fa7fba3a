"""What `fcos compare` compares, and how it shows it."""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

from tabulate import tabulate

from fcos_d2.datasets.own_data import DataFiles
from fcos_d2.engine import Request
from fcos_d2.evaluation.report import flow
from fcos_d2.evaluation.results import DetectionSet, read_results
from fcos_deploy.text import shown

from .model_choice import config_of
from .training import request_of

WIDEST_NAME = 40  # letters


def output_file(path: Path) -> Path:
    """Where compare.json goes: a folder gets one of that name. The folder is made."""
    if path.suffix != ".json":
        path = path / "compare.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def data_sets(arguments: argparse.Namespace) -> tuple[DetectionSet, DetectionSet]:
    """The detections of A and B beside one ground truth; checkpoints are run.

    Raises:
        ValueError: data, weights, config or results that are missing or wrong; names them.
    """
    both = (arguments.a, arguments.b)
    for path in both:
        if is_results(path) and not Path(path).is_file():
            raise ValueError(f"{path}: no such file of results")
    given = DataFiles(arguments.data, arguments.images) if arguments.data else None
    found: dict[str, DetectionSet] = {}
    request: Request | None = None
    for path in dict.fromkeys(both):
        if is_results(path):
            continue
        with tempfile.TemporaryDirectory() as made:
            request = _request(path, arguments, request)
            _, found[path] = flow.detections_of(request, Path(made))
            _fix_data(request, found[path])
    _check_same(found)
    if found:
        first = next(iter(found.values()))
        truth, folder, source = first.truth, first.folder, first.source
    else:
        assert given is not None, "checked by the command"
        truth, folder, source = flow.truth_in(
            given, arguments.classes, arguments.data_format, flow.near(*both)
        )
    sets = []
    for path in both:
        rows = found[path].detections if path in found else read_results(path, truth)
        sets.append(DetectionSet(truth=truth, detections=rows, folder=folder, source=source))
    return sets[0], sets[1]


def is_results(path: str) -> bool:
    """Whether A or B is a file of results and no checkpoint."""
    return path.endswith(".json")


def _request(weights: str, arguments: argparse.Namespace, before: Request | None) -> Request:
    """To evaluate a checkpoint by its own config, on the data of the one before it."""
    config = config_of(argparse.Namespace(config=None, weights=weights))
    model = argparse.Namespace(**vars(arguments), config=config, opts=[])
    data = {"val_data": arguments.data, "val_images": arguments.images}
    request = request_of(model, None, weights=weights, eval_only=True, **data)
    if before is not None:
        names = ("val_data", "val_images", "classes", "data_format")
        request = replace(request, **{name: getattr(before, name) for name in names})
    return request


def _fix_data(request: Request, data: DetectionSet) -> None:
    """Has the request name the very file that was evaluated, so that the next one gets it, too.

    It may be of the catalogue, which another config does not name; or the part of the data that
    training has left out: another training leaves out another one.
    """
    if data.source.endswith(".json"):
        request.val_data, request.val_images = data.source, str(data.folder)
        request.data_format = "coco"


def _check_same(found: dict[str, DetectionSet]) -> None:
    """Raises ValueError for checkpoints that were run on different images."""
    seen = [{image["id"]: image["file_name"] for image in x.images} for x in found.values()]
    if len(seen) == 2 and seen[0] != seen[1]:
        first, second = found
        raise ValueError(
            f"{first} was run on {len(seen[0])} images and {second} on {len(seen[1])} other ones, "
            "the part of the data that its training left out: name one set of annotations by --data"
        )


def as_json(result: dict) -> str:
    """The text of compare.json."""
    return json.dumps(result, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def table(result: dict) -> str:
    """The differences for a terminal."""
    head = ("", "A", "B", "B - A", "95 % interval", "p")
    figures = [_row(name, x, x["p"]) for name, x in result["figures"].items()]
    classes = [
        (*_row(x["name"], x, x["p_corrected"]), x["outcome"], x["note"]) for x in result["classes"]
    ]
    corrected = f"p, Holm for {len(classes)}"
    lines = [
        f"A {shown(result['A'])}",
        f"B {shown(result['B'])}",
        f"{result['images']} images, {result['objects']} objects, {result['resamples']} resamples "
        "of the images",
        *(shown(f"note: {line}") for line in result["notes"]),
        "",
        tabulate(figures, head, disable_numparse=True, colalign=_COLUMNS),
        "",
        tabulate(
            classes,
            ("AP of class", *head[1:5], corrected, "", ""),
            disable_numparse=True,
            colalign=(*_COLUMNS, "left", "left"),
        ),
        "",
        *_images(result["changed_images"]),
    ]
    return "\n".join(lines)


_COLUMNS = ("left", "right", "right", "right", "right", "right")


def _row(name: str, row: dict, p: float | None) -> tuple[str, ...]:
    return (
        shown(name)[:WIDEST_NAME],
        _figure(row["A"], ".2f"),
        _figure(row["B"], ".2f"),
        _figure(row["difference"], "+.2f"),
        "" if row["low"] is None else f"{row['low']:+.2f} to {row['high']:+.2f}",
        _figure(p, ".3f"),
    )


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _images(rows: list[dict]) -> list[str]:
    """Those that changed most; at an IoU of 0.5 and the threshold of the best F1 of each."""
    if not rows:
        return ["no image changed"]
    cells = [
        (
            shown(x["file_name"])[-WIDEST_NAME:],
            *(f"{x[f'A_{key}']} -> {x[f'B_{key}']}" for key in ("true", "wrong", "missed")),
            f"{x['change']:+.2f}",
        )
        for x in rows
    ]
    head = ("images that changed most", "right", "wrong", "missed", "F1")
    columns = ("left", *_COLUMNS[1:5])
    return [tabulate(cells, head, disable_numparse=True, colalign=columns)]
