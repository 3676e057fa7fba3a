"""Curves of a training run."""

import json
import re
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

LOSS_NAMES = {
    "total_loss": "total",
    "loss_fcos_cls": "classification",
    "loss_fcos_loc": "box",
    "loss_fcos_ctr": "centerness",
    "loss_fcos_iou": "IoU",
}
AP_NAMES = ("AP", "AP50", "AP75")
# "raw/my_set/bbox/AP": the set only where there are several, "raw" for the weights without mean.
_METRIC = re.compile(r"(?P<raw>raw/)?(?:(?P<set>.+)/)?bbox/(?P<name>AP|AP50|AP75)")
_LOSS = re.compile(r"(?P<raw>raw/)?(?:(?P<set>.+)/)?validation/(?P<name>\w+)")


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

    Losses on a test set are dashed, in the colour of the same loss in training; those of raw
    weights, beside their moving mean, are dotted, and their precision is dashed.

    Args:
        metrics_file: metrics.json of a run.
        output: PNG file to write.
    """
    curves = curves_of(read_metrics(metrics_file))
    # Without pyplot, which would choose a backend for the whole process, and may need a display.
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    losses, precision = figure.subplots(1, 2)
    _draw_losses(losses, curves)
    _draw_precision(precision, curves)
    for axis in (losses, precision):
        axis.grid(alpha=0.3)
        if axis.lines:  # below, where no curve is hidden
            axis.legend(fontsize="small", ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    figure.savefig(output, dpi=120)


def curves_of(records: list[dict]) -> dict[str, list[tuple[int, float]]]:
    """Points (iteration, value) by name, in the order of iterations.

    A run that was killed and goes on passes some iterations twice: the last time counts.
    """
    curves: dict[str, dict[int, float]] = {}
    for record in records:
        for name, value in record.items():
            if name != "iteration" and isinstance(value, (int, float)):
                curves.setdefault(name, {})[record["iteration"]] = value
    return {name: sorted(points.items()) for name, points in curves.items()}


def _draw_losses(axis: Axes, curves: dict) -> None:
    axis.set(title="Loss", xlabel="iteration", ylabel="loss", yscale="log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
    colours = {name: f"C{i}" for i, name in enumerate(LOSS_NAMES)}
    for name, label in LOSS_NAMES.items():
        if name in curves:
            width = 1.8 if name == "total_loss" else 1.0
            axis.plot(*_xy(curves[name]), label=label, color=colours[name], linewidth=width)
    for name, points in curves.items():
        found = _LOSS.fullmatch(name)
        if found is None or found["name"] not in LOSS_NAMES:
            continue
        if found["raw"] and found["name"] != "total_loss":  # all parts would be hard to read
            continue
        of_set = f" of {found['set']}" if found["set"] else ""
        raw = ", raw weights" if found["raw"] else ""
        label = f"{LOSS_NAMES[found['name']]}, validation{of_set}{raw}"
        style: dict[str, Any] = {"linestyle": ":" if raw else "--", "marker": "o", "markersize": 3}
        axis.plot(*_xy(points), label=label, color=colours[found["name"]], linewidth=1.0, **style)


def _draw_precision(axis: Axes, curves: dict) -> None:
    axis.set(title="Validation (COCO metric)", xlabel="iteration", ylabel="AP in %")
    axis.set_ylim(0, 100)
    found = [(points, x) for name, points in curves.items() if (x := _METRIC.fullmatch(name))]
    found.sort(key=lambda pair: (bool(pair[1]["raw"]), AP_NAMES.index(pair[1]["name"])))
    with_raw = any(x["raw"] for _, x in found)
    sets = [*dict.fromkeys(x["set"] for _, x in found)]
    for points, x in found:
        label = f"{x['name']} of {x['set']}" if x["set"] else x["name"]
        if with_raw:
            label += ", raw weights" if x["raw"] else ", mean of weights"
        colour = f"C{AP_NAMES.index(x['name']) + len(AP_NAMES) * sets.index(x['set'])}"
        style = "--" if x["raw"] else "-"
        axis.plot(*_xy(points), style, label=label, color=colour, marker="o", markersize=4)


def _xy(points: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
