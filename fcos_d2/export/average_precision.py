"""AP of an exported model, run as it will be."""

import contextlib
import io
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tqdm import tqdm

from fcos_deploy import Detector
from fcos_deploy.files import find_file
from fcos_deploy.image import read_image
from fcos_deploy.results import CocoResults
from fcos_deploy.text import read_json


def coco_ap(folder: Path, annotations: str, images: str) -> float:
    """COCO's AP of boxes, in percent.

    Args:
        folder: with an exported model.
        annotations: COCO file.
        images: folder of its images.

    Raises:
        ValueError: a missing file, or classes that are not those of the model; names it.
    """
    detector = Detector(folder)
    results = CocoResults(annotations, detector.settings.class_names)
    content = read_json(annotations)
    names = [x["file_name"] for x in content["images"]]
    rows = []
    for name in tqdm(names, desc=f"AP of {detector.engine.name}", unit="image"):
        rows += results.rows(name, detector(read_image(find_file(images, name))))
    if not rows:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints what it does
        truth = COCO()
        truth.dataset = content
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100 * float(evaluation.stats[0])
