"""Curves of a training."""

import json

import cv2
import matplotlib

from fcos_d2.visualization.plots import plot_training, read_metrics


def test_a_picture_is_drawn_and_the_backend_of_the_process_stays(tmp_path):
    records = [{"iteration": i, "total_loss": 3.0 / (i + 1)} for i in range(5)]
    records.append({"iteration": 4, "bbox/AP": 41.0})
    metrics = tmp_path / "metrics.json"
    metrics.write_text("".join(json.dumps(x) + "\n" for x in records) + '{"iterat')
    assert read_metrics(metrics) == records  # the line that a kill has cut is left out
    before = matplotlib.rcParams._get_backend_or_none()
    plot_training(metrics, tmp_path / "training.png")
    assert matplotlib.rcParams._get_backend_or_none() == before
    picture = cv2.imread(str(tmp_path / "training.png"))
    assert picture.shape == (480, 1320, 3) and picture.std() > 5  # 4 x 11 inches at 120 dpi
