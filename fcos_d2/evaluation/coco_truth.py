"""The ground truth of COCO's metric, whatever the ids in its file are."""

import json
import logging
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from detectron2.data.catalog import Metadata
from detectron2.data.datasets.coco import convert_to_coco_json
from detectron2.utils.file_io import PathManager

from ..datasets.ids import LARGEST_ID, Id, number_ids

hotcoco: Any
try:
    import hotcoco
except ImportError:
    hotcoco = None

logger = logging.getLogger(__name__)


class Truth(NamedTuple):
    """Annotations in hotcoco's form, and their ids, which fit a float64."""

    coco: "hotcoco.COCO"
    image_ids: Mapping[Id, int] | None  # of the file -> in `coco`; None where they are the same
    category_ids: Mapping[Id, int] | None

    def image_id(self, given: Id, json_file: str) -> int:
        """The id in `coco` of an image of the file.

        Raises:
            ValueError: an id that the file does not have.
        """
        if self.image_ids is None and isinstance(given, int):
            return given  # looked up later, with all others
        if self.image_ids is None or given not in self.image_ids:
            raise unknown_image(given, json_file)
        return self.image_ids[given]


def annotation_file(dataset_name: str, metadata: Metadata, output_dir: str | None) -> str:
    """The COCO file of a dataset on this machine; written, where there is none yet."""
    if not hasattr(metadata, "json_file"):
        if output_dir is None:
            raise ValueError(
                f"dataset {dataset_name} has no json_file in its metadata; give an output_dir, "
                "where its annotations can be written in COCO's format"
            )
        metadata.json_file = os.path.join(output_dir, f"{dataset_name}_coco_format.json")
        convert_to_coco_json(dataset_name, metadata.json_file)
    return PathManager.get_local_path(metadata.json_file)


def load_truth(json_file: str) -> Truth | None:
    """The annotations of a COCO file; None where hotcoco cannot read it, and the log says why.

    Its ids may be texts, or numbers that no float64 holds.
    """
    if hotcoco is None:
        logger.warning(
            "the COCO metric runs on pycocotools, slowly; for the same numbers fast: "
            "pip install hotcoco"
        )
        return None
    refused: ValueError | None = None
    try:
        coco = hotcoco.COCO(json_file)
        ids = [*coco.get_img_ids(), *coco.get_cat_ids()]
        if max(ids, default=0) <= LARGEST_ID:
            return Truth(coco, None, None)
    except ValueError as error:
        refused = error
    try:
        return _renumbered(json_file)
    except (ValueError, KeyError, TypeError) as error:
        reason = error if refused is None else refused
        logger.warning("the COCO metric runs on pycocotools, slowly; %s: %s", json_file, reason)
        return None


def _renumbered(json_file: str) -> Truth:
    """With the fields that the metric of boxes reads, and ids that hotcoco and numpy hold.

    Raises:
        ValueError, KeyError, TypeError: no file of annotations of boxes.
    """
    with open(json_file, encoding="utf-8") as file:
        content = json.load(file)
    images = number_ids(x["id"] for x in content["images"])
    categories = number_ids(x["id"] for x in content["categories"])
    annotations = [
        {
            "id": number,
            "image_id": images[x["image_id"]],
            "category_id": categories[x["category_id"]],
            "bbox": x["bbox"],
            "area": x["area"] if "area" in x else x["bbox"][2] * x["bbox"][3],
            "iscrowd": x.get("iscrowd", 0),
        }
        for number, x in enumerate(content.get("annotations", ()), start=1)
    ]
    # The order of the file, which settles ties.
    made = {
        "images": [
            {"id": images[x["id"]], "height": x.get("height"), "width": x.get("width")}
            for x in content["images"]
        ],
        "annotations": annotations,
        "categories": [
            {"id": categories[x["id"]], "name": x["name"]} for x in content["categories"]
        ],
    }
    return Truth(hotcoco.COCO(made), images, categories)


def unknown_image(image_id: Id, json_file: str) -> ValueError:
    """The error of detections on an image of another dataset."""
    return ValueError(
        f"{json_file} has no image {image_id}, which has detections; evaluate on the dataset that "
        "the images come from"
    )
