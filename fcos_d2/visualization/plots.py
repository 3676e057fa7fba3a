"""Curves of a training run."""

import json
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

LOSS_NAMES = {
    "total_loss": "total",
    "loss_fcos_cls": "classification",
    "loss_fcos_loc": "box",
    "loss_fcos_ctr": "centerness",
    "loss_fcos_iou": "IoU",
}


def read_metrics(metrics_file: str | Path) -> list[dict]:
    """The records of detectron2's metrics.json; a last line cut by a kill is left out."""
    records = []
    for line in Path(metrics_file).read_text().splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def plot_training(metrics_file: str | Path, output: str | Path) -> None:
    """Losses and average precision over the iterations, side by side in one picture.

    Args:
        metrics_file: metrics.json of a run.
        output: PNG file to write.
    """
    records = read_metrics(metrics_file)
    # Without pyplot, which would choose a backend for the whole process, and may need a display.
    figure = Figure(figsize=(11, 4), layout="constrained")
    losses, precision = figure.subplots(1, 2)
    for key, label in LOSS_NAMES.items():
        _curve(losses, records, key, label)
    losses.set(title="Training loss", xlabel="iteration", ylabel="loss", yscale="log")
    for key, label in {"bbox/AP": "AP", "bbox/AP50": "AP50", "bbox/AP75": "AP75"}.items():
        _curve(precision, records, key, label, marker="o")
    precision.set(title="Validation (COCO metric)", xlabel="iteration", ylabel="AP in %")
    precision.set_ylim(0, 100)
    for axis in (losses, precision):
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(output, dpi=120)


def _curve(axis: Axes, records: list[dict], key: str, label: str, marker: str = "") -> None:
    points = [(r["iteration"], r[key]) for r in records if key in r]
    if points:
        axis.plot(*zip(*points, strict=True), label=label, marker=marker)
