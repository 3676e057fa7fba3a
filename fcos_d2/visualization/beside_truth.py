"""Detections beside the ground truth."""

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog

from fcos_deploy.vision import read_image, resized

from ..predictor import Predictor
from . import contact_sheet, draw_detections

ENLARGED = 2  # times, so that the labels cover less of small pictures


def predictions_beside_truth(predictor: Predictor, dataset: str, num_images: int) -> np.ndarray:
    """A picture of the first images of a dataset: ground truth left, detections right of it.

    Args:
        predictor: that detects.
        dataset: registered name; its boxes are xywh, as COCO has them.
        num_images: at most.
    """
    names = MetadataCatalog.get(dataset).thing_classes
    cells = []
    for record in DatasetCatalog.get(dataset)[:num_images]:
        image = read_image(record["file_name"])
        found = predictor(image)
        image = resized(image, ENLARGED)
        true_boxes = np.array([annotation["bbox"] for annotation in record["annotations"]])
        true_boxes[:, 2:] += true_boxes[:, :2]  # xywh -> xyxy
        true_classes = np.array([annotation["category_id"] for annotation in record["annotations"]])
        cells.append(draw_detections(image, true_boxes * ENLARGED, true_classes, None, names))
        boxes = found.pred_boxes.tensor.numpy() * ENLARGED
        classes, scores = found.pred_classes.numpy(), found.scores.numpy()
        cells.append(draw_detections(image, boxes, classes, scores, predictor.class_names))
    return contact_sheet(cells, columns=4, titles=["ground truth", "predictions"] * num_images)
