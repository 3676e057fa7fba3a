"""Curves of a training."""

import json

import cv2
import matplotlib
from matplotlib.figure import Figure

from fcos_d2.visualization.plots import curves_of, plot_training, read_metrics


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
    assert picture.shape == (540, 1320, 3) and picture.std() > 5  # 4.5 x 11 inches at 120 dpi


def lines_of(tmp_path, monkeypatch, **values):
    """What the two halves of a picture show: label, line style and points of each curve."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps({"iteration": 3, **values}))
    plot_training(metrics, tmp_path / "training.png")
    return [
        [(x.get_label(), x.get_linestyle(), x.get_ydata(), x.get_color()) for x in axis.lines]
        for axis in figures[0].axes
    ]


def test_losses_of_both_sets_have_one_colour(tmp_path, monkeypatch):
    names = ("total_loss", "validation/total_loss", "raw/validation/total_loss")
    values = {**dict(zip(names, (1.0, 2.0, 3.0), strict=True)), "raw/validation/loss_fcos_cls": 4.0}
    losses, precision = lines_of(tmp_path, monkeypatch, **values)
    assert [x[:3] for x in losses] == [
        ("total", "-", [1.0]),
        ("total, validation", "--", [2.0]),
        ("total, validation, raw weights", ":", [3.0]),
    ]
    assert len({x[3] for x in losses}) == 1 and precision == []


def test_raw_precision_is_dashed_beside_that_of_the_mean(tmp_path, monkeypatch):
    _, precision = lines_of(tmp_path, monkeypatch, **{"raw/bbox/AP": 30.0, "bbox/AP": 40.0})
    assert [x[:3] for x in precision] == [
        ("AP, mean of weights", "-", [40.0]),
        ("AP, raw weights", "--", [30.0]),
    ]
    assert len({x[3] for x in precision}) == 1


def test_without_a_mean_nothing_is_said_of_it(tmp_path, monkeypatch):
    values = {"bbox/AP": 40.0, "bbox/AP-cat": 9.0, "segm/AP": 8.0, "bbox/APs": 7.0}
    _, precision = lines_of(tmp_path, monkeypatch, **values)
    assert [x[0] for x in precision] == ["AP"]


def test_several_sets_have_their_names_and_colours(tmp_path, monkeypatch):
    values = {"a/bbox/AP": 40.0, "b/c/bbox/AP": 50.0, "b/c/validation/total_loss": 1.0}
    losses, precision = lines_of(tmp_path, monkeypatch, **values)
    assert [x[0] for x in precision] == ["AP of a", "AP of b/c"]
    assert len({x[3] for x in precision}) == 2
    assert [x[0] for x in losses] == ["total, validation of b/c"]


def test_an_iteration_that_came_twice_counts_once():
    records = [{"iteration": i, "bbox/AP": value} for i, value in ((2, 1.0), (9, 3.0), (2, 2.0))]
    assert curves_of(records) == {"bbox/AP": [(2, 2.0), (9, 3.0)]}
