"""What `fcos compare` compares, and how it shows it."""

import argparse
import json
import tempfile
from pathlib import Path

from detectron2.data import DatasetCatalog, MetadataCatalog
from tabulate import tabulate

from fcos_d2 import model_zoo
from fcos_d2.datasets.folder import ALL_OF_IT, data_in
from fcos_d2.datasets.formats import read_dataset
from fcos_d2.datasets.own_data import DataFiles, report_problems
from fcos_d2.datasets.splitting import earlier_split
from fcos_d2.datasets.training_set import learned_fields
from fcos_d2.engine import Request, run, run_of
from fcos_d2.evaluation.results import DetectionSet, read_results
from fcos_deploy.text import shown

from .model_choice import config_of

RESULTS = Path("inference", "coco_instances_results.json")  # of an evaluation
WIDEST_NAME = 40  # letters


def output_file(path: Path) -> Path:
    """Where compare.json goes: a folder gets one of that name. The folder is made."""
    if path.suffix != ".json":
        path = path / "compare.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def data_sets(arguments: argparse.Namespace) -> tuple[DetectionSet, DetectionSet]:
    """The detections of A and B beside the ground truth; checkpoints are run.

    Raises:
        ValueError: data, weights, config or results that are missing or wrong; names them.
    """
    for path in (arguments.a, arguments.b):
        if path.endswith(".json") and not Path(path).is_file():
            raise ValueError(f"{path}: no such file of results")
    files, format = _files(arguments)
    read = read_dataset(
        files.data,
        images=files.images,
        classes=arguments.classes,
        format=format,
        usual_split="val",
    )
    truth = learned_fields(read.coco, "unused", read.problems)
    report_problems(files.data, read.problems, check=False)
    found = []
    for path in (arguments.a, arguments.b):
        results = path
        with tempfile.TemporaryDirectory() as folder:
            if not path.endswith(".json"):
                results = _evaluate(path, files, format, arguments, folder)
            rows = read_results(results, truth)
        kind = {"detections": rows, "folder": Path(read.images), "source": files.data}
        found.append(DetectionSet(truth=truth, **kind))
    return found[0], found[1]


def _files(arguments: argparse.Namespace) -> tuple[DataFiles, str]:
    """The annotations and images of the test set, and their format."""
    format = arguments.data_format
    given = DataFiles(arguments.data, arguments.images) if arguments.data else None
    if given is None:
        config = model_zoo.get_config(_config(arguments.a), trust_config=arguments.trust_config)
        made = run_of(config)
        own = made.own_data
        if data := own.get("val_data") or own.get("folder"):
            given, format = DataFiles(data, own.get("val_images")), own.get("data_format", "auto")
            arguments.classes = own.get("classes")
        elif made.test_datasets and made.test_datasets[0] in DatasetCatalog:
            known = MetadataCatalog.get(made.test_datasets[0])
            given = DataFiles(known.json_file, known.image_root)
        else:
            raise ValueError(f"{_config(arguments.a)} names no test set: give --data")
    files, lines = data_in(given, "val", format)
    if lines and lines[-1] == ALL_OF_IT and not arguments.a.endswith(".json"):
        # Training took a part of it, which it has not seen.
        folder = Path(arguments.a).parent
        files = earlier_split(files, str(folder), classes=arguments.classes) or files
    return files, format


def _config(weights: str) -> str:
    return config_of(argparse.Namespace(config=None, weights=weights))


def _evaluate(
    weights: str, files: DataFiles, format: str, arguments: argparse.Namespace, folder: str
) -> str:
    """Runs a checkpoint by its own config; returns the file of its detections.

    Raises:
        ValueError: it finds nothing, or does not know the classes of the data.
    """
    request = Request(
        config_file=_config(weights),
        weights=weights,
        output_dir=folder,
        device=arguments.device,
        eval_only=True,
        check=False,
        val_data=files.data,
        val_images=files.images,
        classes=arguments.classes,
        data_format=format,
        trust_checkpoint=arguments.trust_checkpoint,
        trust_config=arguments.trust_config,
    )
    run(request)
    results = Path(folder) / RESULTS
    if not results.is_file():
        raise ValueError(f"{weights}: no detection at all, so there is nothing to compare")
    return str(results)


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
