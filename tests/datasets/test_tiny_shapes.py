import cv2
import numpy as np

from fcos_d2.datasets import tiny_shapes


def test_shapes_are_tiny_and_lie_in_their_tiles(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_shapes, "SPLITS", {"val": (2, 3, 100, (2, 4))})
    coco = tiny_shapes.draw_split(tmp_path, "val", seed=1)
    assert [x["file_name"] for x in coco["images"]] == ["0001.png", "0002.png"]
    assert cv2.imread(str(tmp_path / "0002.png")).shape == (300, 300, 3)
    boxes = np.array([a["bbox"] for a in coco["annotations"]])
    assert len(boxes) >= 2 * 9 * 2
    assert (boxes[:, 2:] <= 20).all() and (boxes[:, 2:] >= 5).all()
    assert (boxes[:, :2] // 100 == (boxes[:, :2] + boxes[:, 2:] - 1) // 100).all()
    again = tiny_shapes.draw_split(tmp_path / "again", "val", seed=1)
    assert again == coco
