"""AP of an exported model, run as it will be."""

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tqdm import tqdm

from fcos_deploy import Detector
from fcos_deploy.files import find_file
from fcos_deploy.results import CocoResults
from fcos_deploy.vision import read_image

from ..datasets.formats import read_dataset, write_dataset
from ..datasets.problems import summarise
from ..datasets.training_set import learned_fields


def coco_ap(folder: Path, annotations: str, images: str) -> float:
    """COCO's AP of boxes, in percent, of the annotations as training's evaluation reads them.

    Args:
        folder: with an exported model.
        annotations: COCO file.
        images: folder of its images.

    Raises:
        ValueError: a missing file, or classes that are not those of the model; names it.
    """
    detector = Detector(folder, score_threshold=0.0)  # thresholds would cut AP
    truth: Any = COCO()
    read = read_dataset(annotations, images=images, format="coco")
    truth.dataset = learned_fields(read.coco, "unused", read.problems)
    for line in summarise(read.problems):
        print(f"{annotations}: {line}")
    with tempfile.TemporaryDirectory() as made:  # with ids that pycocotools holds
        file = write_dataset(truth.dataset, images, Path(made) / "annotations.json", "coco")
        results = CocoResults(file, detector.settings.class_names)
    names, rows = [x["file_name"] for x in truth.dataset["images"]], []
    for name in tqdm(names, desc=f"AP of {detector.engine.name}", unit="image"):
        rows += results.rows(name, detector(read_image(find_file(images, name))))
    if not rows:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints what it does
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100 * float(evaluation.stats[0])
