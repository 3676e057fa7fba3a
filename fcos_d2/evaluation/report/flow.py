"""What `fcos report` does: detections by a model or from a file, the numbers, and their files."""

import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from tqdm import tqdm

from fcos_deploy.text import read_json
from fcos_deploy.vision import read_image
from fcos_deploy.writing import write_text

from ...datasets.folder import ALL_OF_IT, data_in
from ...datasets.formats import recognise
from ...datasets.own_data import DataFiles
from ...datasets.problems import summarise
from ...datasets.splitting import as_in_the_file
from ...engine import Request, Run, prepare
from ...engine.best import RESULTS as MADE
from ...engine.evaluating import evaluate_weights
from ...engine.summary import say_evaluation
from ..coco_limits import COCO_LIMIT
from ..matches import Matches, match
from ..results import DetectionSet, read_results
from .images import mean_brightness
from .numbers import report_numbers
from .origin import hash_of, made_by, model_facts, speed

logger = logging.getLogger(__name__)

NUMBERS = "report.json"
RESULTS = "results.json"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the page of a report is made of."""

    numbers: dict[str, Any]
    data: DetectionSet
    matches: Matches
    weights: str = ""  # of the model; "" for results of others
    earlier: dict[str, Any] | None = None  # numbers of the report that it is compared with


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of a report.

    Attributes:
        output: folder to write.
        data: the annotations, for results of any detector.
        classes, data_format: see `read_dataset`.
        compare: an earlier report's folder or report.json.
        brightness: read the images for slices by brightness.
        speed: measure the model.
        command: words of the command line.
        progress: show how far it is.
    """

    output: Path
    data: DataFiles | None = None
    classes: str | None = None
    data_format: str = "auto"
    compare: Path | None = None
    brightness: bool = True
    speed: bool = True
    max_dets_per_image: int = COCO_LIMIT
    command: Sequence[str] = field(default=())
    progress: bool = True


def report_of_results(results: str | Path, asked: Asked) -> Report:
    """The report of a COCO results file, of any detector, on the data that are asked for.

    Raises:
        ValueError: files that are missing or wrong; names them and the cure.
    """
    assert asked.data is not None, asked
    earlier = _earlier(asked.compare)
    given = (asked.data, asked.classes, asked.data_format)
    truth, folder, source = truth_in(*given, near(results))
    detections = read_results(results, truth)
    data = DetectionSet(truth=truth, detections=detections, folder=folder, source=source)
    origin = {"data": _hashes(source, results)}
    return _finish(data, asked, origin, earlier, "")


def report_of_weights(request: Request, asked: Asked) -> Report:
    """The report of a detector; its detections are kept as results.json, for a second report.

    Args:
        request: of an evaluation; its output folder becomes one within that of the report.
        asked: of the report.

    Raises:
        ValueError: bad config, weights or data; names them and the cure.
    """
    _earlier(asked.compare)  # what is wrong with it is said before the inference
    run, results = _evaluated(request, asked.output)
    return report_of_run(run, results, asked, request.trust_checkpoint)


def detections_of(request: Request, output: Path) -> tuple[Run, DetectionSet]:
    """What a detector finds on its test set, beside the ground truth; kept as results.json.

    Args:
        request: of an evaluation; its output folder becomes one within `output`.
        output: folder to write.

    Raises:
        ValueError: bad config, weights or data; names them and the cure.
    """
    run, results = _evaluated(request, output)
    return run, _data_of(run, results)


def _evaluated(request: Request, output: Path) -> tuple[Run, Path]:
    """The run of one test set, and the results of its evaluation."""
    request.output_dir = str(output / "evaluation")
    run = prepare(request)
    if len(run.test_datasets) > 1:
        logger.warning(
            "the report is on the first of the test sets, %s; --data names another",
            run.test_datasets[0],
        )
        run = replace(run, test_datasets=run.test_datasets[:1])
    say_evaluation(run)
    evaluate_weights(run, request.trust_checkpoint)
    return run, _keep_results(run, output)


def report_of_run(
    run: Run, results: str | Path, asked: Asked, trust_checkpoint: str | None = None
) -> Report:
    """The report of what an evaluation of a run's weights, on its only test set, has found.

    Args:
        run: with the weights.
        results: the COCO results that the evaluation has written.
        asked: of the report.
        trust_checkpoint: see `read_checkpoint`.

    Raises:
        ValueError: files that are missing or wrong; names them and the cure.
    """
    data = _data_of(run, results)
    origin: dict[str, Any] = {
        "model": model_facts(run, trust_checkpoint),
        "data": _hashes(data.source, results),
    }
    if asked.speed:
        origin["speed"] = _speed(run, data)
    return _finish(data, asked, origin, _earlier(asked.compare), run.weights)


def _data_of(run: Run, results: str | Path) -> DetectionSet:
    """Of the run's only test set."""
    (name,) = run.test_datasets
    truth, folder, source = truth_of(name)
    return DetectionSet(
        truth=truth, detections=read_results(results, truth), folder=folder, source=source
    )


def _keep_results(run: Run, output: Path) -> Path:
    """Moves the detections that an evaluation has written into the folder of the report."""
    made = Path(run.output_dir, MADE)
    if not made.is_file():
        raise ValueError(
            f"{run.test_datasets[0]}: its evaluation gives no COCO results, which a report needs; "
            "name its annotations with --data"
        )
    os.replace(made, output / RESULTS)
    return output / RESULTS


def truth_of(dataset_name: str) -> tuple[dict, Path, str]:
    """The ground truth of a registered dataset with the ids of the user's file.

    Args:
        dataset_name: in detectron2's catalogue.

    Returns:
        COCO dict, the folder of the images, and what the user calls it.

    Raises:
        ValueError: it has no COCO file.
    """
    metadata = MetadataCatalog.get(dataset_name)
    json_file = metadata.get("json_file")
    if json_file is None:
        raise ValueError(f"{dataset_name} has no COCO file; name its annotations with --data")
    source = metadata.get("source", json_file)
    truth: Any = read_json(json_file)
    images = metadata.get("source_image_ids") or {}
    categories = metadata.get("source_category_ids") or {}
    for image in truth["images"]:
        image["source_id"] = images.get(image["id"], image["id"])
    for category in truth["categories"]:
        category["source_id"] = categories.get(category["id"], category["id"])
    truth.setdefault("annotations", [])
    as_in_the_file(truth)
    _take_fields(truth, source, json_file)
    return truth, Path(metadata.get("image_root", "")), source


def _take_fields(truth: dict, source: str, json_file: str) -> None:
    """Gives the images the fields that the user's COCO file has of them, such as the camera."""
    if source == json_file or not os.path.isfile(source) or recognise(Path(source)) != "coco":
        return
    given: Any = read_json(source)
    fields = {x["id"]: x for x in given["images"]}
    truth["images"] = [{**fields.get(x["id"], {}), **x} for x in truth["images"]]


def near(*results: str | Path) -> list[Path]:
    """Where the training of such files may have left its split: OUTPUT of OUTPUT/report/x.json."""
    return [place for path in results for place in Path(path).absolute().parents[:2]]


def truth_in(
    given: DataFiles, classes: str | None, format: str, beside: Iterable[Path] = ()
) -> tuple[dict, Path, str]:
    """Ground truth, folder of the images and name of a dataset of any format; see `data_in`."""
    files, lines = data_in(given, "val", format, classes=classes, beside=beside)
    for line in lines:
        logger.log(logging.WARNING if line == ALL_OF_IT else logging.INFO, line)
    # The boxes are judged by what the annotations say; only other formats need the images.
    is_file = os.path.isfile(files.data)
    is_coco = is_file and (format if format != "auto" else recognise(Path(files.data))) == "coco"
    read = files.read(classes=classes, format=format, decode=not is_coco, usual_split="val")
    for line in summarise(read.problems):
        logger.warning("%s: %s", files.data, line)
    return as_in_the_file(read.coco), read.images, files.data


def _hashes(source: str, results: str | Path) -> dict[str, Any]:
    return {
        "sha256": hash_of(source),
        "results": str(results),
        "results_sha256": hash_of(results),
    }


def _speed(run: Run, data: DetectionSet) -> dict[str, Any] | None:
    """Of the model on the first image; None, with a line, where that cannot be measured."""
    assert data.folder is not None, data
    try:
        image = read_image(data.folder / str(data.images[0]["file_name"]))
        resized, _ = run.build_test_mapper().to_input(image)
        return speed(run, (resized.shape[-2], resized.shape[-1]))
    except ValueError as error:
        logger.warning("speed: not measured: %s", error)
        return None


def _finish(
    data: DetectionSet,
    asked: Asked,
    origin: dict[str, Any],
    earlier: dict[str, Any] | None,
    weights: str,
) -> Report:
    """Computes the numbers and writes them."""
    if not data.images:
        raise ValueError(f"{data.source}: no image in it; a report needs some")
    matches = match(data, asked.max_dets_per_image)
    brightness = None
    if asked.brightness:
        bar = partial(tqdm, desc="brightness", unit="image", disable=not asked.progress)
        brightness = mean_brightness(data, bar)
    numbers = report_numbers(
        data,
        matches=matches,
        max_dets_per_image=asked.max_dets_per_image,
        brightness=brightness,
        origin=origin | made_by(asked.command),
    )
    write_text(asked.output / NUMBERS, json.dumps(numbers, indent=1, allow_nan=False))
    return Report(numbers=numbers, data=data, matches=matches, weights=weights, earlier=earlier)


def _earlier(path: Path | None) -> dict[str, Any] | None:
    """The numbers of an earlier report, read before anything is computed.

    Raises:
        ValueError: no report; names the file.
    """
    if path is None:
        return None
    file = path / NUMBERS if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"{file}: no such report to compare with")
    try:
        numbers: Any = read_json(file)
    except ValueError as error:
        raise ValueError(f"{file}: no report ({error})") from None
    if not isinstance(numbers, dict) or "figures" not in numbers:
        raise ValueError(f"{file}: no report.json; make one with `fcos report`")
    return numbers
