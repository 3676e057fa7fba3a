"""Whether the datasets of a config are there."""

import os
from pathlib import Path

from detectron2.data import DatasetCatalog, MetadataCatalog

SHAPES = ("shapes_train", "shapes_val")  # drawn when they are loaded


def check_datasets(names: list[str] | tuple[str, ...]) -> None:
    """Looks for the files of datasets before a model is built.

    Args:
        names: in detectron2's catalogue.

    Raises:
        ValueError: a name that is not registered, or files that are not there; says where they are
            looked for.
    """
    for name in names:
        if name not in DatasetCatalog:
            kind = name.split("_")[0]
            known = ", ".join(x for x in DatasetCatalog.list() if x.split("_")[0] == kind)
            raise ValueError(
                f"dataset {name!r} is not registered; names like it are: {known or 'none'}"
            )
        if name in SHAPES:
            continue
        metadata = MetadataCatalog.get(name)
        for path in (metadata.get("json_file"), metadata.get("dirname")):
            if path and not Path(path).exists():
                root = os.environ.get("DETECTRON2_DATASETS", "datasets")
                raise ValueError(
                    f"dataset {name}: {path} is not there; set DETECTRON2_DATASETS to the folder "
                    f"that holds your datasets (now {root!r}), laid out as in detectron2's "
                    "datasets/README.md, or train on your own files with --train-data"
                )
