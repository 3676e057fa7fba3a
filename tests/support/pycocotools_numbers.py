"""pycocotools' evaluation, without its prints."""

import contextlib
import io
import json

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def pycocotools_evaluation(truth: dict, rows: list[dict]) -> COCOeval:
    """Accumulated.

    Args:
        truth: COCO dict.
        rows: of a results file.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = json.loads(json.dumps(truth))
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes([dict(row) for row in rows]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation
