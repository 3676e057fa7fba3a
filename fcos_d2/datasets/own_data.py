"""Training on one's own data, in any usual format, without touching code."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.utils import comm

from .formats import ReadDataset, read_dataset, write_dataset
from .ids import Id
from .near_duplicates import pairs_across
from .problems import Problem, summarise
from .training_set import NOTHING, judge_training_set, learned_fields

logger = logging.getLogger(__name__)
T = TypeVar("T")

TRAIN_NAME = "own_train"
VAL_NAME = "own_val"
TEST_NAME = "own_test"
MOST_COMPARED = 5000  # images; more take longer than half a minute on a small machine
USUAL_SPLITS = {TRAIN_NAME: "train", VAL_NAME: "val", TEST_NAME: "test"}


class OwnData(NamedTuple):
    """Names in detectron2's catalogue and what the model needs to know."""

    train: str | None
    val: str | None
    test: str | None
    class_names: list[str]


class DataFiles(NamedTuple):
    """One's own data, as given on the command line or found in a folder; see `read_dataset`."""

    data: str
    images: str | None = None
    format: str = "auto"  # that the folder was read in

    def read(self, *, format: str = "auto", **given: Any) -> ReadDataset:
        """As `read_dataset`; `format` counts where they have none."""
        chosen = format if self.format == "auto" else self.format
        return read_dataset(self.data, images=self.images, format=chosen, **given)


class Prepared(NamedTuple):
    """A repaired dataset on disk."""

    json_file: str
    images: str
    class_names: list[str]
    # What the file of the user calls the ids of `json_file`, where that is something else.
    source_image_ids: dict[int, Id]
    source_category_ids: dict[int, Id]


def register_own_data(
    train: DataFiles | None,
    val: DataFiles | None,
    output_dir: str | Path,
    *,
    test: DataFiles | None = None,
    classes: str | None = None,
    format: str = "auto",
    check: bool = True,
    masks: str = "unused",
    compare: bool = True,
) -> OwnData:
    """Registers data as the datasets `own_train`, `own_val` and `own_test`.

    Repairs what can be repaired, and says so; the repaired annotations lie in `output_dir` as
    COCO json. Every process has to call it.

    Args:
        train, val: where the data are; either may be None.
        output_dir: folder for the repaired annotations.
        test: a third set, which no training looks at.
        classes, format: see `read_dataset`.
        check: stop on errors; False leaves out what is wrong and goes on.
        masks: see `learned_fields`.
        compare: warn of near duplicates that `train` and `val` share.

    Returns:
        OwnData; the classes are in the order of the training data.

    Raises:
        ValueError: data that cannot be read, that have errors, or that hold no box to learn; or
            classes in `val` or `test` that `train` does not have. Names the file, the value and
            the cure.
    """
    sets = zip(USUAL_SPLITS, (train, val, test), strict=True)
    given = {name: files for name, files in sets if files is not None}
    if not given:
        raise ValueError("no data given: use --train-data")
    prepared = on_main(
        lambda: _prepare(given, Path(output_dir), classes, format, check, masks, compare)
    )
    for name, made in prepared.items():
        if name in DatasetCatalog:
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
        register_coco_instances(name, {}, made.json_file, made.images)
        MetadataCatalog.get(name).set(
            thing_classes=made.class_names,
            source=given[name].data,
            source_image_ids=made.source_image_ids,
            source_category_ids=made.source_category_ids,
        )
    class_names = next(iter(prepared.values())).class_names
    logger.info("%d classes: %s", len(class_names), ", ".join(class_names))
    return OwnData(
        TRAIN_NAME if TRAIN_NAME in prepared else None,
        VAL_NAME if VAL_NAME in prepared else None,
        TEST_NAME if TEST_NAME in prepared else None,
        class_names,
    )


def _compare(train: list[Path], val: list[Path]) -> None:
    """Warns of images of validation that training has seen, nearly."""
    if len(train) + len(val) > MOST_COMPARED:
        logger.info("near duplicates: not looked for among so many images; fcos check does")
        return
    pairs = pairs_across(train, val)
    if pairs:
        count = len({other for _, other in pairs})
        logger.warning(
            "%s of validation %s nearly the same as images of training, such as %s and %s: the "
            "results will look better than they are; fcos check --html shows them",
            "1 image" if count == 1 else f"{count} images",
            "is" if count == 1 else "are",
            *pairs[0][::-1],
        )


def on_main(make: Callable[[], T]) -> T:
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
    given: dict[str, DataFiles],
    output_dir: Path,
    classes: str | None,
    format: str,
    check: bool,
    masks: str,
    compare: bool,
) -> dict[str, Prepared]:
    """Reads, repairs, writes and compares."""
    prepared, categories, first = {}, None, ""
    paths: dict[str, list[Path]] = {}
    for name, files in given.items():
        data = files.data
        read = files.read(classes=classes, format=format, usual_split=USUAL_SPLITS[name])
        coco = learned_fields(read.coco, masks, read.problems)
        problems = read.problems
        if name == TRAIN_NAME:
            problems = judge_training_set(coco, problems)
        report_problems(data, problems, check)
        if categories is None:
            categories, first = coco["categories"], data
            if not categories:
                raise ValueError(f"{data}: no box of any class in it; training needs some")
        source_ids = _source_ids(coco, categories)
        _renumber_classes(coco, categories, data, first)
        path = output_dir / f"{name}.json"
        write_dataset(coco, read.images, path, "coco")
        class_names = [x["name"] for x in categories]
        prepared[name] = Prepared(str(path), str(read.images), class_names, *source_ids)
        paths[name] = [Path(read.images, x["file_name"]) for x in coco["images"]]
        boxes = len(coco["annotations"])
        logger.info("%s: %d images, %d boxes (%s)", data, len(coco["images"]), boxes, path)
    if compare and {TRAIN_NAME, VAL_NAME} <= paths.keys():
        _compare(paths[TRAIN_NAME], paths[VAL_NAME])
    return prepared


def report_problems(data: str, problems: list[Problem], check: bool) -> None:
    """Warns of what is wrong in `data`; raises ValueError for errors, unless `check` is False."""
    for line in summarise(problems):
        logger.warning("%s: %s", data, line)
    for problem in problems:
        if problem.kind == NOTHING:
            raise ValueError(f"{data}: {problem.kind}: {problem.where}")
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors and check:
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors, the first"
        raise ValueError(
            f"{data}: {count}: {errors[0].without_severity()}. "
            f"`fcos check {data}` shows all, and with --fix OUT.json writes the "
            "data without them; --no-check trains without them now"
        )


def _source_ids(coco: dict, categories: list[dict]) -> tuple[dict[int, Id], dict[int, Id]]:
    """What the file calls the ids of its images, and those that its classes get in `categories`.

    Only what it calls otherwise; a class that the file lacks gets an id that it does not use.
    """
    images = {x["id"]: x["source_id"] for x in coco["images"] if "source_id" in x}
    own = {x["name"]: x.get("source_id", x["id"]) for x in coco["categories"]}
    ids: dict[int, Id] = {}
    for category in categories:
        source = own.get(category["name"], category.get("source_id", category["id"]))
        if category["name"] not in own and source in own.values():
            numbers = [x for x in (*own.values(), *ids.values()) if isinstance(x, int)]
            source = max([0, *numbers]) + 1
        ids[category["id"]] = source
    return images, {number: source for number, source in ids.items() if number != source}


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
