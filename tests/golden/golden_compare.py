"""Comparison of our results with recorded ones, and our results in the layout of the records."""

from dataclasses import dataclass, field

import golden_rules  # noqa: F401, first, because fcos_d2 silences a warning of detectron2
import numpy as np
import torch
from detectron2.structures import Instances
from torch import Tensor

from fcos_d2.modeling.assignment import SizeRangeAssigner
from fcos_d2.modeling.criterion import Targets
from fcos_d2.modeling.geometry import LocationGrid
from fcos_d2.modeling.packing import unpack_truth

# Tolerances: relative, but boxes in px, targets in strides.
HEAD, LOSS, GRADIENT, GRADIENT_FLOOR, STATISTIC = 1e-5, 1e-6, 1e-5, 1e-6, 1e-5
TARGET, BOX_PX, SCORE = 1e-5, 1e-3, 1e-6


@dataclass
class Report:
    """What was compared for one configuration."""

    name: str
    checked: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    worst: float = 0.0  # relative difference of numbers; boxes count in px, scores as they are

    def compare(
        self,
        what: str,
        actual: object,
        expected: object,
        tolerance: float,
        scale: float | np.ndarray | None = None,
    ) -> None:
        """Numbers within `tolerance`, relative to `scale` (default: each expected value).

        NaN is a miss on either side.
        """
        actual, expected = (np.asarray(x, dtype=np.float64) for x in (actual, expected))
        if actual.shape != expected.shape:
            self.misses.append(f"{what}: shape {actual.shape}, expected {expected.shape}")
            return
        if not actual.size:
            return
        scale = np.abs(expected) if scale is None else scale
        difference = np.abs(actual - expected)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(difference == 0, 0.0, difference / scale)
        at = np.unravel_index(relative.argmax(), relative.shape)  # of a NaN, if there is any
        self.worst = float(np.maximum(self.worst, relative[at]))
        if not relative[at] <= tolerance:
            self.misses.append(f"{what}: {actual[at]:.9g}, expected {expected[at]:.9g}")

    def same(self, what: str, actual: object, expected: object) -> None:
        """Exactly equal."""
        if actual != expected:
            self.misses.append(f"{what}: {_short(actual)}, expected {_short(expected)}")

    def nothing_left(self, arrays: dict[str, np.ndarray]) -> None:
        """Arrays that no line compares are a miss, so that "ok" means all of them."""
        if arrays:
            self.misses.append(f"never compared: {', '.join(arrays)}")

    def __str__(self) -> str:
        result = f"worst relative difference {self.worst:.1e}" if self.worst else "equal"
        verdict = f"MISS {'; '.join(self.misses)}" if self.misses else "ok"
        return f"{self.name}: {', '.join(self.checked)}: {result}: {verdict}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def compare_losses(
    report: Report, case: str, losses: dict[str, Tensor], expected: dict[str, float]
) -> None:
    """The same names, and values within 1e-6."""
    report.same(f"{case} losses".strip(), sorted(losses), sorted(expected))
    for name in sorted(losses.keys() & expected.keys()):
        report.compare(f"{case} {name}".strip(), losses[name].item(), expected[name], LOSS)


def compare_detections(
    report: Report,
    stage: str,
    found: Instances,
    expected: dict[str, np.ndarray],
    strides: list[int],
    ordered: bool = True,
) -> None:
    """The same set in the same order, and where each comes from.

    Args:
        report: takes the result.
        stage: begins the names of what is compared.
        found: with pred_boxes, scores, pred_classes, and `location_markers` as box_features if
            `expected` has levels or locations.
        expected: boxes, scores, classes; perhaps levels and locations.
        strides: of the levels, px.
        ordered: False compares as sets, both sorted by score.
    """
    actual = {
        "classes": found.pred_classes,
        "scores": found.scores,
        "boxes": found.pred_boxes.tensor,
    }
    if {"levels", "locations"} & expected.keys():
        levels, cells = found.box_features[:, 0].long(), found.box_features[:, 1:]
        stride = torch.tensor(strides)[levels][:, None]
        actual |= {"levels": levels, "locations": cells * stride + stride // 2}
    if not ordered:
        order = found.scores.argsort()
        actual = {name: x[order] for name, x in actual.items()}
        order = expected["scores"].argsort()
        expected = {name: x[order] for name, x in expected.items()}
    for name, tolerance in (("scores", SCORE), ("boxes", BOX_PX)):
        report.compare(f"{stage} {name}", actual[name], expected[name], tolerance, scale=1.0)
    for name in expected.keys() - {"scores", "boxes"}:
        report.same(f"{stage} {name}", actual[name].tolist(), expected[name].tolist())


def location_markers(levels: list[Tensor]) -> list[Tensor]:
    """Stand-ins for box features that tell where a detection is from: level, column, row.

    Args:
        levels: L tensors (N, C, Hi, Wi).

    Returns:
        L tensors (N, 3, Hi, Wi), float64.
    """
    markers = []
    for level, x in enumerate(levels):
        num_images, _, height, width = x.shape
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        marker = torch.stack((torch.full_like(rows, level), columns, rows)).double()
        markers.append(marker.expand(num_images, -1, -1, -1))
    return markers


def level_targets(
    gt_instances: list[Instances],
    grids: list[LocationGrid],
    assigner: SizeRangeAssigner,
    num_classes: int,
) -> list[dict[str, Tensor]]:
    """The targets of a batch in the layout of the reference, computed in float64.

    Returns:
        For each level labels (N, Hi * Wi); for its positives, image by image and row by row,
        reg_pos (P, 4) in strides and gtind_pos (P,), an index over the boxes of the whole batch.
    """
    truth = unpack_truth(gt_instances, like=torch.zeros((), dtype=torch.float64))
    matches = assigner.assign(truth, grids)
    targets = Targets.of_matches(matches, truth, grids)
    labels = targets.labels(num_classes)
    ltrb = torch.zeros(len(labels), 4, dtype=torch.float64)
    ltrb[targets.positive_idxs] = targets.ltrb_in_strides
    lengths = [grid.num_locations for grid in grids]
    fields = [
        x.unflatten(0, (len(gt_instances), -1)).split(lengths, dim=1)
        for x in (labels, ltrb, matches.matched_idxs)
    ]
    levels = []
    for level_labels, level_ltrb, level_idxs in zip(*fields, strict=True):
        positive = level_labels < num_classes
        levels.append(
            {
                "labels": level_labels,
                "reg_pos": level_ltrb[positive],
                "gtind_pos": level_idxs[positive],
            }
        )
    return levels


def grids_of(cls_logits: list[Tensor], strides: list[int]) -> list[LocationGrid]:
    """The location grids of head outputs (N, K, Hi, Wi)."""
    sizes = (x.shape[-2:] for x in cls_logits)
    return [LocationGrid.of_level(*size, s) for size, s in zip(sizes, strides, strict=True)]
