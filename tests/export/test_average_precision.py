"""AP of a graph that finds the same on every image."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_model import write_model

from fcos_d2.export.average_precision import coco_ap

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(
    ("encoding", "name"), [("utf-8", "a.png"), ("utf-8-sig", "in\\a.png"), ("utf-16", "in/a.png")]
)
def test_ap_of_what_is_found(tmp_path: Path, encoding: str, name: str) -> None:
    """The dog, box [4, 8, 24, 48], is in the truth; the cat that is found is elsewhere."""
    model = write_model(tmp_path / "exported")
    (tmp_path / "in").mkdir()
    for path in (tmp_path / "a.png", tmp_path / "in" / "a.png"):
        cv2.imwrite(str(path), np.zeros((64, 96, 3), np.uint8))
    boxes = {1: [60, 40, 10, 10], 2: [4, 8, 20, 40]}
    coco = {
        "images": [{"id": 7, "file_name": name, "height": 64, "width": 96}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": i, "image_id": 7, "category_id": i, "bbox": box, "area": 800, "iscrowd": 0}
            for i, box in boxes.items()
        ],
    }
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps(coco), encoding=encoding)
    assert coco_ap(model, str(truth), str(tmp_path)) == pytest.approx(50)
