"""Two detectors on the same images: what differs, and whether more than chance would have it."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .bootstrap import RESAMPLES, SEED, difference, resample_counts
from .matches import Matches, average_precision, match
from .report.figures import FIGURES, few_boxes, mean_figure
from .report.images import image_table
from .results import DetectionSet
from .thresholds import working_threshold

LEVEL = 0.05  # of significance
# Images with objects that a p-value needs: the resamples of fewer are too much alike.
LEAST_IMAGES = 10
MOST_CHANGED = 10  # images that are listed
LOWEST_AP50 = 2.0  # percent, below which results look as if they were of other images
ALL_CLASSES = slice(None)


@dataclass(frozen=True)
class Verdict:
    """Whether the second detector is worse.

    Attributes:
        worse: by more than the tolerance, significantly.
        text: in one sentence.
    """

    worse: bool
    text: str


def compare(
    first: DetectionSet,
    second: DetectionSet,
    *,
    tolerance: float = 0.0,
    figure: str = "AP",
    resamples: int = RESAMPLES,
    names: tuple[str, str] = ("A", "B"),
) -> tuple[dict[str, object], Verdict]:
    """The differences, second less first, in percent; ready for JSON.

    Args:
        first, second: detections beside one ground truth.
        tolerance: percent that the second may lose.
        figure: of `FIGURES`, by which it is judged.
        resamples: of the images.
        names: of the two in messages.

    Raises:
        ValueError: nothing to compare: no images, no objects, no detections, or detections on
            different images.
    """
    check_sets(first, second, names)
    both = match(first), match(second)
    counts = resample_counts(both[0].image_count, resamples, SEED)
    values = [(average_precision(m), average_precision(m, counts)) for m in both]
    overall = {
        name: _difference(both[0], values, name, ALL_CLASSES, tolerance if name == figure else 0.0)
        for name in FIGURES
    }
    verdict = _verdict(overall[figure], figure, tolerance, names[1])
    result: dict[str, object] = {
        "A": names[0],
        "B": names[1],
        "images": both[0].image_count,
        "objects": int(both[0].object_counts[0].sum()),
        "resamples": resamples,
        "seed": SEED,
        "level": LEVEL,
        "judged_by": figure,
        "tolerance": tolerance,
        "significantly_worse": verdict.worse,
        "verdict": verdict.text,
        "notes": _notes(first, second, names, overall["AP50"]),
        "figures": overall,
        "classes": _classes(both[0], values),
        "changed_images": _changed_images((first, second), both),
    }
    return result, verdict


def check_sets(first: DetectionSet, second: DetectionSet, names: tuple[str, str]) -> None:
    """Raises ValueError for sets that cannot be compared; see `compare`."""
    if first.truth["images"] != second.truth["images"] or first.class_names != second.class_names:
        raise ValueError(f"{names[0]} and {names[1]} were measured on different data")
    if not first.truth["images"]:
        raise ValueError(f"{first.source}: no images, so there is nothing to compare on")
    if not (~first.objects.crowd).any():
        raise ValueError(f"{first.source}: no objects, so no average precision to compare")
    seen = [set(data.found.image.tolist()) for data in (first, second)]
    for name, images in zip(names, seen, strict=True):
        if not images:
            raise ValueError(f"{name}: no detection at all, so there is nothing to compare")
    if not seen[0] & seen[1]:
        raise ValueError(
            f"{names[0]} and {names[1]} have no image in common with detections of both: they were "
            "made on different images"
        )


def _notes(
    first: DetectionSet, second: DetectionSet, names: tuple[str, str], ap50: dict
) -> list[str]:
    """What looks as if the two had not been made on the same images, for the same classes."""
    notes = []
    pairs = ((first, second, names[1]), (second, first, names[0]))
    for other, data, name in pairs:
        lost = set(other.found.image.tolist()) - set(data.found.image.tolist())
        if len(lost) > 0.2 * len(data.images):
            notes.append(f"{name} has no detection on {len(lost)} images where the other has some")
        absent = set(other.found.label.tolist()) - set(data.found.label.tolist())
        notes += [f"{name} has no detection of class {data.class_names[k]}" for k in sorted(absent)]
    if all(x is not None and x < LOWEST_AP50 for x in (ap50["A"], ap50["B"])):
        notes.append(
            f"neither finds much, as if made on other images than {first.source}, with the same ids"
        )
    return notes


def _difference(
    matches: Matches,
    values: list[tuple[np.ndarray, np.ndarray]],
    name: str,
    classes: slice,
    tolerance: float = 0.0,
) -> dict[str, Any]:
    """Of one figure, of all classes or one."""
    objects = matches.object_counts[FIGURES[name][0], classes].sum(axis=0)  # (N,)
    images = int((objects > 0).sum())
    of_both = [
        (float(mean_figure(value, name, classes)[0]), mean_figure(resampled, name, classes))
        for value, resampled in values
    ]
    (a, first), (b, second) = of_both
    found = difference(a, b, first, second, images)
    # The same question asked of A less what may be lost: is B below that?
    p_worse = difference(a - tolerance, b, first - tolerance, second, images).p
    enough = images >= LEAST_IMAGES
    return {
        "A": _number(a),
        "B": _number(b),
        "difference": _number(found.value),
        "low": _number(found.interval.low),
        "high": _number(found.interval.high),
        "p": _number(found.p) if enough else None,
        "p_beyond_tolerance": _number(p_worse) if enough else None,
        "boxes": int(objects.sum()),
        "images": images,
    }


def _classes(
    matches: Matches, values: list[tuple[np.ndarray, np.ndarray]]
) -> list[dict[str, object]]:
    """The AP of each class, with p-values by Holm: 5 % that any of them is wrong."""
    rows: list[dict] = []
    for k, name in enumerate(matches.class_names):
        row = _difference(matches, values, "AP", slice(k, k + 1))
        del row["p_beyond_tolerance"]
        rows.append({"name": name, **row, "note": few_boxes(int(row["boxes"] or 0))})
    tested = sorted((row for row in rows if row["p"] is not None), key=lambda row: row["p"])
    largest = 0.0
    for i, row in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - i) * row["p"]))
        row["p_corrected"] = largest
    for row in rows:
        p = row.setdefault("p_corrected", None)
        significant = p is not None and p < LEVEL
        row["outcome"] = ("won" if row["difference"] > 0 else "lost") if significant else "same"
    return rows


def _changed_images(
    sets: tuple[DetectionSet, DetectionSet], both: tuple[Matches, Matches]
) -> list[dict[str, object]]:
    """By F1 at an IoU of 0.5, each detector at its best threshold; the largest change first."""
    tables = []
    for data, matches in zip(sets, both, strict=True):
        rows = image_table(data, matches, working_threshold(matches))
        tables.append({row["id"]: row for row in rows})
    changed = []
    for i, a in tables[0].items():
        b = tables[1][i]
        counts = {key: (a[key], b[key]) for key in ("true", "wrong", "missed", "f1")}
        if any(one != other for one, other in counts.values()):
            row = {key: a[key] for key in ("id", "file_name", "boxes")}
            changed.append(
                row
                | {f"A_{key}": pair[0] for key, pair in counts.items()}
                | {f"B_{key}": pair[1] for key, pair in counts.items()}
                | {"change": counts["f1"][1] - counts["f1"][0]}
            )
    changed.sort(key=lambda row: (-abs(row["change"]), str(row["file_name"])))
    return changed[:MOST_CHANGED]


def _verdict(row: dict, figure: str, tolerance: float, name: str) -> Verdict:
    change, low, high = row["difference"], row["low"], row["high"]
    if change is None:
        return Verdict(False, f"no verdict: there are no objects for {figure}")
    span = f"{change:+.2f} {figure}"
    if low is not None:  # one image with objects has none
        span += f", 95 % interval {low:+.2f} to {high:+.2f}"
    beyond = f" by more than the tolerance of {tolerance:g}" if tolerance else ""
    if row["p"] is None:
        return Verdict(
            False,
            f"no verdict: {row['images']} images with objects are too few, {LEAST_IMAGES} are the "
            f"least ({span})",
        )
    p = row["p_beyond_tolerance"]
    if change < -tolerance and p < LEVEL:
        return Verdict(True, f"{name} is significantly worse{beyond}: {span}, p {p:.3f}")
    p = row["p"]
    if p < LEVEL and change > 0:
        return Verdict(False, f"{name} is significantly better: {span}, p {p:.3f}")
    if p < LEVEL:
        return Verdict(False, f"{name} is worse, but not{beyond}, significantly: {span}, p {p:.3f}")
    return Verdict(False, f"no significant difference: {span}, p {p:.3f}")


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return float(value) if math.isfinite(value) else None
