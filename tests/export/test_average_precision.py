"""AP of a graph that finds the same on every image."""

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from tiny_model import write_model

from fcos_d2.export import average_precision
from fcos_d2.export.average_precision import coco_ap
from fcos_deploy.detector import Detections

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


class FakeDetector:
    """Finds the white rectangle."""

    settings = SimpleNamespace(class_names=["cat"])
    engine = SimpleNamespace(name="fake")

    def __init__(self, folder, *, score_threshold):
        assert score_threshold == 0  # whatever the file says

    def __call__(self, image: np.ndarray) -> Detections:
        rows, columns = np.nonzero(image[..., 0] > 128)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return Detections(np.array([box], float), np.array([0.9]), np.array([0]))


def test_files_as_people_have_them(tmp_path, monkeypatch, capsys):
    """Text ids, no areas, an ignored box and a broken mask, which pycocotools would not survive."""
    monkeypatch.setattr(average_precision, "Detector", FakeDetector)
    images, annotations = [], []
    for i, name in enumerate(["01", "1", "a-b"]):
        picture = np.zeros((40, 60, 3), np.uint8)
        picture[10:30, 5 + i : 25 + i] = 255
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture)
        images.append({"id": name, "file_name": f"{i}.png", "height": 40, "width": 60})
        box = {"bbox": [5 + i, 10, 20, 20], "segmentation": {"size": [40, 60]}}
        annotations.append({"id": i, "image_id": name, "category_id": "x", **box})
    annotations.append({**annotations[0], "bbox": [40, 10, 10, 10], "ignore": 1})
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": "x", "name": "cat"}],
    }
    (tmp_path / "val.json").write_text(json.dumps(content))
    ap = coco_ap(tmp_path, str(tmp_path / "val.json"), str(tmp_path))
    assert ap == pytest.approx(100)
    assert "ids written as text" in capsys.readouterr().out
