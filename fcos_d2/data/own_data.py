"""Training on one's own data, in any usual format, without touching code."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.utils import comm

from .formats import read_dataset, write_dataset
from .problems import Problem, summarise

logger = logging.getLogger(__name__)

TRAIN_NAME = "own_train"
VAL_NAME = "own_val"


class OwnData(NamedTuple):
    """Names in detectron2's catalogue and what the model has to know."""

    train: str | None
    val: str | None
    class_names: list[str]


class DataFiles(NamedTuple):
    """One's own data as given on the command line; see `read_dataset`."""

    data: str
    images: str | None = None


def register_own_data(
    train: DataFiles | None,
    val: DataFiles | None,
    output_dir: str | Path,
    *,
    classes: str | None = None,
    format: str = "auto",
    check: bool = True,
) -> OwnData:
    """Registers data as the datasets `own_train` and `own_val`.

    What can be repaired is, and said; the repaired annotations lie in `output_dir` as COCO json.
    Every process has to call it.

    Args:
        train, val: where the data are; either may be None.
        output_dir: folder for the repaired annotations.
        classes, format: see `read_dataset`.
        check: False passes over mistakes that would stop the run, leaving out what is wrong.

    Returns:
        OwnData; the classes are in the order of the training data.

    Raises:
        ValueError: data that cannot be read, or with mistakes that nobody should train over; or
            classes in `val` that `train` does not have. Names the file, the value and the cure.
    """
    given = {name: x for name, x in ((TRAIN_NAME, train), (VAL_NAME, val)) if x is not None}
    if not given:
        raise ValueError("no data given: use --train-data")
    prepared = _on_main(lambda: _prepare(given, Path(output_dir), classes, format, check))
    for name, (json_file, images, class_names) in prepared.items():
        if name in DatasetCatalog:
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
        register_coco_instances(name, {}, json_file, images)
        MetadataCatalog.get(name).set(thing_classes=class_names, source=given[name].data)
    class_names = next(iter(prepared.values()))[2]
    logger.info("%d classes: %s", len(class_names), ", ".join(class_names))
    return OwnData(
        TRAIN_NAME if TRAIN_NAME in prepared else None,
        VAL_NAME if VAL_NAME in prepared else None,
        class_names,
    )


def _on_main(make: Callable[[], dict]) -> dict:
    """The result of `make` on the main process, or its ValueError, on all processes."""
    result, error = None, None
    if comm.is_main_process():
        try:
            result = make()
        except ValueError as caught:
            error = str(caught)
    result, error = comm.all_gather((result, error))[0]
    if error is not None:
        raise ValueError(error)
    return result


def _prepare(
    given: dict[str, DataFiles], output_dir: Path, classes: str | None, format: str, check: bool
) -> dict[str, tuple[str, str, list[str]]]:
    """Reads, repairs and writes; for each dataset its json, image folder and class names."""
    prepared, categories, first = {}, None, ""
    for name, (data, images) in given.items():
        split = "val" if name == VAL_NAME else "train"
        read = read_dataset(data, images=images, classes=classes, format=format, usual_split=split)
        _report(data, read.problems, check)
        if categories is None:
            categories, first = read.coco["categories"], data
            if not categories:
                raise ValueError(f"{data}: no box of any class in it; training needs some")
        _renumber_classes(read.coco, categories, data, first)
        path = output_dir / f"{name}.json"
        write_dataset(read.coco, read.images, path, "coco")
        class_names = [x["name"] for x in categories]
        prepared[name] = str(path), str(read.images), class_names
        boxes = len(read.coco["annotations"])
        logger.info("%s: %d images, %d boxes (%s)", data, len(read.coco["images"]), boxes, path)
    return prepared


def _report(data: str, problems: list[Problem], check: bool) -> None:
    for line in summarise(problems):
        logger.warning("%s: %s", data, line)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors and check:
        raise ValueError(
            f"{data}: {len(errors)} mistakes that would cost the run, the first: {errors[0]}. "
            f"`python tools/check_dataset.py {data}` shows all, and with --fix OUT.json writes the "
            "data without them; --no-check trains without them now"
        )


def _renumber_classes(coco: dict, categories: list[dict], data: str, first: str) -> None:
    """Gives `coco` the ids that its classes have in `categories`, by name, in place."""
    ids = {category["name"]: category["id"] for category in categories}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    used = {names[annotation["category_id"]] for annotation in coco["annotations"]}
    unknown = sorted(used - set(ids))
    if unknown:
        raise ValueError(
            f"{data} has the class {unknown[0]!r}, which {first} does not have; its classes are "
            f"{', '.join(ids)}"
        )
    for annotation in coco["annotations"]:
        annotation["category_id"] = ids[names[annotation["category_id"]]]
    coco["categories"] = categories
