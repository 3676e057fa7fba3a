"""Training on one's own COCO-format files without touching code."""

import json
import logging
from pathlib import Path
from typing import NamedTuple

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances

logger = logging.getLogger(__name__)

TRAIN_NAME = "own_train"
VAL_NAME = "own_val"


class OwnData(NamedTuple):
    """Names in detectron2's catalogue and what the model has to know."""

    train: str | None
    val: str | None
    class_names: list[str]


def register_own_data(
    train_json: str | None, train_images: str | None, val_json: str | None, val_images: str | None
) -> OwnData:
    """Registers COCO-format files as the datasets `own_train` and `own_val`.

    Args:
        train_json, val_json: annotation files; either may be None.
        train_images, val_images: the folders that their file names are relative to.

    Returns:
        OwnData; the class names are in the order of the category ids, as detectron2 numbers them.

    Raises:
        ValueError: a file is missing or damaged, or the files contradict each other; names the
            file, the value and the cure.
    """
    names, categories = {}, {}
    for name, json_file, images in (
        (TRAIN_NAME, train_json, train_images),
        (VAL_NAME, val_json, val_images),
    ):
        if not json_file and not images:
            continue
        if not json_file or not images:
            kind = name.removeprefix("own_")
            raise ValueError(f"--{kind}-json and --{kind}-images go together; one is missing")
        categories[json_file] = read_categories(json_file, images)
        names[name] = json_file
        if name in DatasetCatalog:
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
        register_coco_instances(name, {}, json_file, images)
    if not names:
        raise ValueError("no annotation file given: use --train-json and --train-images")
    _check_same_categories(categories)
    classes = next(iter(categories.values()))
    mapping = ", ".join(f"{i} = {classes[c]} (id {c})" for i, c in enumerate(classes))
    logger.info("%d classes: %s", len(classes), mapping)
    class_names = list(classes.values())
    for name in names:
        MetadataCatalog.get(name).thing_classes = class_names
    return OwnData(
        TRAIN_NAME if TRAIN_NAME in names else None,
        VAL_NAME if VAL_NAME in names else None,
        class_names,
    )


def read_categories(json_file: str, images: str) -> dict[int, str]:
    """Category id -> name in rising order of the ids, after a look at the whole file.

    Args:
        json_file: COCO-format annotations.
        images: folder of the pictures.

    Raises:
        ValueError: see `register_own_data`.
    """
    data = _read_json(json_file)
    categories = {c.get("id"): c.get("name") for c in data["categories"]}
    if not categories:
        raise ValueError(f"{json_file}: 'categories' is empty; training needs at least one class")
    bad_ids = [c for c in categories if not isinstance(c, int)]
    if bad_ids:
        raise ValueError(f"{json_file}: category id {bad_ids[0]!r} is not an integer")
    bad_names = [n for n in categories.values() if not isinstance(n, str)]
    if bad_names or len(categories) != len(data["categories"]):
        raise ValueError(f"{json_file}: every category needs an id of its own and a name")
    for annotation in data["annotations"]:
        if annotation.get("category_id") not in categories:
            raise ValueError(
                f"{json_file}: annotation {annotation.get('id')} has category_id "
                f"{annotation.get('category_id')!r}, which 'categories' does not list"
            )
    _check_images(json_file, images, [i.get("file_name") for i in data["images"]])
    return dict(sorted(categories.items()))


def _read_json(json_file: str) -> dict:
    try:
        data = json.loads(Path(json_file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{json_file}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ValueError(f"{json_file}: not valid JSON ({error})") from None
    for key in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise ValueError(f"{json_file}: no list {key!r}; is this a COCO detection file?")
    return data


def _check_images(json_file: str, images: str, file_names: list[str]) -> None:
    if not Path(images).is_dir():
        raise ValueError(f"{images}: no such folder of images (for {json_file})")
    missing = [name for name in file_names if not Path(images, str(name)).is_file()]
    if missing:
        raise ValueError(
            f"{json_file}: {len(missing)} of {len(file_names)} images are not in {images}, "
            f"the first is {missing[0]!r}"
        )


def _check_same_categories(categories: dict[str, dict[int, str]]) -> None:
    (first_file, first), *rest = categories.items()
    for other_file, other in rest:
        if other != first:
            difference = sorted(set(first.items()) ^ set(other.items()))
            raise ValueError(
                f"{first_file} and {other_file} disagree about the categories, first about id "
                f"{difference[0][0]} ({difference[0][1]!r}); both need the same ids and names"
            )
