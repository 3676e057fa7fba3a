"""Box detections as arrays: stacked, checked, written as json; COCO's numbers from its curves."""

import json
from collections.abc import Mapping
from typing import IO

import numpy as np
import torch
from detectron2.structures import Instances

from ..datasets.ids import Id
from .coco_truth import unknown_image

# One row per detection: image id, x, y, width, height, score, class. Ids are exact up to 2**53,
# and `Truth` holds no others.
COLUMNS = 7
ROWS_PER_WRITE = 5000


def box_rows(instances: Instances) -> np.ndarray:
    """The detections of one image as one array, in one transfer from the device.

    Args:
        instances: `pred_boxes` (n, xyxy in pixels of the original image), `scores`, `pred_classes`.

    Returns:
        (n, 6): x, y, width, height, score, class; float32, or float64 where the boxes are.

    Source: detectron2's `instances_to_coco_json`, which also subtracts in the boxes' precision.
    """
    boxes = instances.pred_boxes.tensor
    xywh = torch.cat((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), dim=1)
    # Half precision cannot hold the class numbers; the classes lift the whole array to float32.
    classes = instances.pred_classes.float()
    columns = (xywh, instances.scores[:, None], classes[:, None])
    return torch.cat(columns, dim=1).detach().cpu().numpy()


def stack_rows(predictions: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """(N, 7) float64 of all images, from pairs of an image's id and its `box_rows`."""
    rows = [rows for _, rows in predictions]
    ids = np.array([image_id for image_id, _ in predictions], dtype=np.float64)
    detections = np.empty((sum(map(len, rows)), COLUMNS))
    detections[:, 0] = np.repeat(ids, [len(r) for r in rows])
    if rows:
        detections[:, 1:] = np.concatenate(rows)
    return detections


def to_dataset_ids(
    detections: np.ndarray, class_to_id: Mapping[int, int], names: Mapping[int, Id]
) -> np.ndarray:
    """The detections with the dataset's category ids in place of class numbers.

    Args:
        detections: (N, 7), see `stack_rows`.
        class_to_id: category id of each class in [0, K).
        names: what the dataset calls the images, where that is not the id in `detections`.

    Raises:
        ValueError: a class that the dataset does not have.
    """
    ids = np.array([class_to_id[index] for index in range(len(class_to_id))], dtype=np.float64)
    classes = detections[:, 6].astype(np.int64)
    wrong = (classes < 0) | (classes >= len(ids))
    if wrong.any():
        row = wrong.argmax()
        raise ValueError(
            f"image {_name(detections[row], names)} has a detection of class {classes[row]}, but "
            f"the dataset has {len(ids)} classes (0 to {len(ids) - 1}); set the model's number of "
            "classes to the dataset's"
        )
    return np.column_stack((detections[:, :6], ids[classes]))


def check_detections(
    detections: np.ndarray, image_ids: list[int], json_file: str, names: Mapping[int, Id]
) -> None:
    """Raises ValueError for images that are not in the dataset, and for numbers that are none."""
    unknown = np.setdiff1d(detections[:, 0], image_ids)
    if len(unknown):
        raise unknown_image(int(unknown[0]), json_file)
    finite = np.isfinite(detections).all(axis=1)
    if not finite.all():
        row = detections[finite.argmin()]
        raise ValueError(
            f"image {_name(row, names)} has a detection with box (xywh) {row[1:5].tolist()} and "
            f"score {row[5]}; the model has diverged: use earlier weights"
        )


def _name(row: np.ndarray, names: Mapping[int, Id]) -> Id:
    return names.get(int(row[0]), int(row[0]))


def write_results(
    detections: np.ndarray,
    file: IO[str],
    image_names: Mapping[int, Id],
    category_names: Mapping[int, Id],
) -> None:
    """Writes COCO's result format: a json list of image_id, category_id, bbox (xywh) and score.

    Nine digits give back every float32 exactly, in half of the time and three quarters of the
    space of Python's shortest form of the same numbers as doubles.

    Args:
        detections: (N, 7) with ids.
        file: to write to.
        image_names, category_names: the ids to write where they are not those in `detections`.
    """
    named = bool(image_names or category_names)
    ids = (
        '{"image_id": %s, "category_id": %s, ' if named else '{"image_id": %d, "category_id": %d, '
    )
    line = ids + '"bbox": [%.9g, %.9g, %.9g, %.9g], "score": %.9g}'
    file.write("[")
    for start in range(0, len(detections), ROWS_PER_WRITE):
        rows = detections[start : start + ROWS_PER_WRITE, [0, 6, 1, 2, 3, 4, 5]]
        numbers = rows.ravel().tolist()
        if named:
            numbers[0::7] = _texts(numbers[0::7], image_names)
            numbers[1::7] = _texts(numbers[1::7], category_names)
        text = ", ".join([line] * len(rows)) % tuple(numbers)
        file.write(text if start == 0 else f", {text}")
    file.write("]")


def _texts(numbers: list[float], names: Mapping[int, Id]) -> list[str]:
    """The names of numbers as json writes them."""
    return [json.dumps(names.get(int(number), int(number))) for number in numbers]


def coco_statistics(precision: np.ndarray, recall: np.ndarray) -> dict[str, float]:
    """COCO's 12 numbers in percent, NaN where there is nothing to measure.

    Args:
        precision: (T, R, K, A, M), -1 where a class has no boxes: T = 10 IoU thresholds from 0.5 in
            steps of 0.05, R = 101 recalls, K classes, A = 4 areas (all, small, medium, large), M =
            3 limits on the detections of an image, rising.
        recall: (T, K, A, M), likewise.

    Source: `summarize` of pycocotools' COCOeval; with another third limit, detectron2's
    COCOevalMaxDets.
    """
    return {
        "AP": mean_percent(precision[..., 0, 2]),
        "AP50": mean_percent(precision[0, ..., 0, 2]),
        "AP75": mean_percent(precision[5, ..., 0, 2]),
        "APs": mean_percent(precision[..., 1, 2]),
        "APm": mean_percent(precision[..., 2, 2]),
        "APl": mean_percent(precision[..., 3, 2]),
        "AR@1": mean_percent(recall[..., 0, 0]),
        "AR@10": mean_percent(recall[..., 0, 1]),
        "AR": mean_percent(recall[..., 0, 2]),
        "ARs": mean_percent(recall[..., 1, 2]),
        "ARm": mean_percent(recall[..., 2, 2]),
        "ARl": mean_percent(recall[..., 3, 2]),
    }


def mean_percent(values: np.ndarray) -> float:
    """The mean of the values that are there (not -1), in percent; NaN where there are none."""
    there = values[values > -1]
    return float(there.mean() * 100) if there.size else float("nan")
