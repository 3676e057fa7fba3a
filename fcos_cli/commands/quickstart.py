#!/usr/bin/env python
"""Trains a small detector on the drawn Shapes dataset and shows what it learned."""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog

from fcos_d2 import Predictor
from fcos_d2.engine import run, train_argument_parser
from fcos_d2.visualization import contact_sheet, draw_detections, write_image
from fcos_d2.visualization.plots import plot_training
from fcos_deploy.door import enter
from fcos_deploy.text import say
from fcos_deploy.vision import read_image

CONFIG = "Quickstart/Shapes-R18"
NUM_PICTURES = 6
ENLARGED = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="output/quickstart", help="folder of the results")
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, help="overrides of the config: KEY VALUE ..."
    )
    args = parser.parse_args()
    output = Path(args.output)
    command = ["--config-file", CONFIG, "OUTPUT_DIR", str(output), *args.opts]
    # A finished run of before would add its curve to this one's.
    (output / "metrics.json").unlink(missing_ok=True)
    results = run(train_argument_parser().parse_args(command))

    predictor = Predictor(
        str(output / "config.yaml"), str(output / "model_final.pth"), confidence_threshold=0.5
    )
    write_image(output / "predictions.png", predictions_beside_truth(predictor))
    plot_training(output / "metrics.json", output / "training.png")
    say(next_steps(output, results["bbox"]))


def predictions_beside_truth(predictor: Predictor) -> np.ndarray:
    """A picture of validation images: ground truth left, detections right of it."""
    names = MetadataCatalog.get("shapes_val").thing_classes
    cells = []
    for record in DatasetCatalog.get("shapes_val")[:NUM_PICTURES]:
        image = read_image(record["file_name"])
        found = predictor(image)
        # Enlarged before drawing, so that the labels cover less of the small pictures.
        image = cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
        true_boxes = np.array([annotation["bbox"] for annotation in record["annotations"]])
        true_boxes[:, 2:] += true_boxes[:, :2]  # xywh -> xyxy
        true_classes = [annotation["category_id"] for annotation in record["annotations"]]
        cells.append(draw_detections(image, true_boxes * ENLARGED, true_classes, None, names))
        boxes = found.pred_boxes.tensor.numpy() * ENLARGED
        classes, scores = found.pred_classes.numpy(), found.scores.numpy()
        cells.append(draw_detections(image, boxes, classes, scores, predictor.class_names))
    return contact_sheet(cells, columns=4, titles=["ground truth", "predictions"] * NUM_PICTURES)


def next_steps(output: Path, metrics: dict) -> str:
    return f"""
Shapes validation set: AP {metrics["AP"]:.1f}, AP50 {metrics["AP50"]:.1f}

  {output}/predictions.png   ground truth and predictions side by side
  {output}/training.png      losses and AP over time
  {output}/model_final.pth   the detector; config.yaml beside it is its configuration

Next:
  detect in your images   .venv/bin/python demo/demo.py --config-file {output}/config.yaml \\
                            --weights {output}/model_final.pth --input IMAGE --output out/
  train on your data      .venv/bin/python train_net.py --help
"""


if __name__ == "__main__":
    sys.exit(enter(main))
