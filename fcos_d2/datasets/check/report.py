"""The findings of a check as a page of text, as HTML, and as an exit code."""

import base64
import html
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fcos_deploy.text import shown, shown_lines
from fcos_deploy.vision import ImageError, read_image

from ...modeling import FCOSProposalGenerator
from ..problems import SEVERITIES, Problem, summarise
from ..training_set import judge_training_set
from .images import check_images, shared_content
from .levels import LevelStatistics, Size, level_statistics
from .sets import check_sets

Coco = dict[str, list[dict]]
BINS = (0, 4, 8, 16, 32, 64, 128, 256, 512, np.inf)  # px, square root of the area
PICTURES = 24  # of problems, in the HTML report
THUMBNAIL = 320  # px, longer side
KEPT, WRONG = (0, 200, 255), (0, 0, 255)  # BGR of boxes in the pictures


@dataclass
class DatasetReport:
    """What was found in a dataset."""

    name: str
    coco: Coco  # without what was wrong
    images: Path
    problems: list[Problem]
    levels: LevelStatistics

    @property
    def exit_code(self) -> int:
        """0: nothing, or notes; 1: warnings; 2: errors, which stop training."""
        severities = [SEVERITIES.index(problem.severity) for problem in self.problems]
        return max(severities, default=0)

    def text(self) -> str:
        """One page."""
        return "\n".join([*self._counts(), "", *self._sizes(), "", *self._findings()])

    def _counts(self) -> list[str]:
        counts = Counter(a["category_id"] for a in self.coco["annotations"])
        names = {category["id"]: category["name"] for category in self.coco["categories"]}
        classes = [f"{shown(names[i])} {n}" for i, n in counts.most_common(12)]
        more = f", and {len(names) - 12} more" if len(names) > 12 else ""
        return [
            f"{shown(self.name)}: {len(self.coco['images'])} images, "
            f"{len(self.coco['annotations'])} boxes, {len(names)} classes",
            f"boxes per class: {', '.join(classes)}{more}",
        ]

    def _sizes(self) -> list[str]:
        levels = self.levels
        lines = [
            f"box sizes at a short side of {levels.short_side} px",
            "                 root    longer",
            "                 of area side",
        ]
        for label, share, longest in size_shares(levels):
            lines.append(
                f"  {label:>12} {share:6.1%} {longest:6.1%} {'#' * round(40 * share)}".rstrip()
            )
        total = max(sum(levels.positives), 1)
        lines.append("locations that learn, by level")
        for name, positives, (low, high), stride in zip(
            levels.names, levels.positives, levels.ranges, levels.strides, strict=True
        ):
            lines.append(
                f"  {name} (stride {stride}, farthest side {low:g} to {high:g} px): {positives}, "
                f"{positives / total:.1%}"
            )
        lines.append(f"boxes that no location will learn: {levels.unlearned_share:.2%}")
        return lines + [f"advice: {line}" for line in levels.advice()]

    def _findings(self) -> list[str]:
        if not self.problems:
            return ["nothing is wrong"]
        counts = Counter(problem.severity for problem in self.problems)
        said = ", ".join(f"{counts[s]} {s}s" for s in reversed(SEVERITIES) if counts[s])
        return [f"found: {said}", *summarise(self.problems)]

    def html(self) -> str:
        """One file, with pictures of the images that have problems."""
        style = (
            "body{font-family:sans-serif;margin:2em}h1{overflow-wrap:anywhere}"
            "pre{background:#f4f4f4;padding:1em}"
            "td{padding:.2em .6em;vertical-align:top}figure{display:inline-block;margin:.5em;"
            "max-width:320px}img{max-width:320px}.error{background:#fdd}.warning{background:#ffd}"
        )
        summary = "\n".join([*self._counts(), "", *self._sizes()])
        return shown_lines(
            f"<!doctype html><meta charset='utf-8'><title>{html.escape(self.name)}</title>"
            f"<style>{style}</style><h1>{html.escape(self.name)}</h1>"
            f"{histogram_svg(self.levels)}<pre>{html.escape(summary)}</pre>{self._problems_html()}"
        )

    def _problems_html(self) -> str:
        if not self.problems:
            return "<p>Nothing is wrong.</p>"
        pictures = "".join(
            f"<figure><img src='{url}' alt=''><figcaption>{html.escape(caption)}</figcaption>"
            "</figure>"
            for url, caption in self._pictures()
        )
        rows = "".join(
            f"<tr class='{p.severity}'>"
            + "".join(f"<td>{html.escape(text)}</td>" for text in p)
            + "</tr>"
            for p in sorted(self.problems, key=lambda p: -SEVERITIES.index(p.severity))[:2000]
        )
        return (
            "<h2>Problems</h2>"
            "<p>Boxes that are kept are yellow, the one that the line names is red.</p>"
            f"{pictures}"
            f"<table><tr><th>severity</th><th>what</th><th>where</th><th>done</th></tr>{rows}</table>"
        )

    def _pictures(self) -> list[tuple[str, str]]:
        """Small pictures, with their boxes, of images that problems name."""
        boxes: dict[int, list] = {}
        for annotation in self.coco["annotations"]:
            boxes.setdefault(annotation["image_id"], []).append(annotation["bbox"])
        images = images_by_name(self.coco["images"])
        found, shown = [], set()
        for problem in sorted(self.problems, key=lambda p: -SEVERITIES.index(p.severity)):
            image = named_image(problem.where, images)
            if image is None or image["id"] in shown:
                continue
            shown.add(image["id"])
            path, wrong = self.images / image["file_name"], named_box(problem.where)
            if url := _thumbnail(path, boxes.get(image["id"], []), wrong):
                found.append((url, str(problem)))
            if len(found) == PICTURES:
                break
        return found


def images_by_name(images: list[dict]) -> dict[str, dict | None]:
    """Images by file name, its last part and that without ending; None where two share one."""
    named: dict[str, dict | None] = {}
    for image in images:
        last = os.path.basename(image["file_name"])
        for name in {last, os.path.splitext(last)[0]}:
            named[name] = None if name in named else image
    return named | {image["file_name"]: image for image in images}


def named_image(where: str, images: dict[str, dict | None]) -> dict | None:
    """The image that the text of a problem names; names may hold spaces, so runs of words count."""
    words = where.split()[:20]
    for first in range(len(words)):
        for last in range(len(words), first, -1):
            name = " ".join(words[first:last]).rstrip(":,;")
            for key in (name, os.path.basename(name), os.path.splitext(os.path.basename(name))[0]):
                if images.get(key):
                    return images[key]
    return None


def named_box(where: str) -> list[float] | None:
    """The box xywh at the end of what `repair_coco` says of an annotation."""
    found = re.fullmatch(
        r"annotation .*: \[([-+.e\d]+), ([-+.e\d]+), ([-+.e\d]+), ([-+.e\d]+)\]", where
    )
    return [float(number) for number in found.groups()] if found else None


def _thumbnail(path: Path, boxes: list, wrong: list[float] | None) -> str | None:
    """A data URL of the picture with its boxes xywh; None for one that cannot be read."""
    try:
        image = read_image(path)
    except ImageError:
        return None
    scale = THUMBNAIL / max(image.shape[:2])
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    for color, some in ((KEPT, boxes), (WRONG, [wrong] if wrong else [])):
        xywh = np.array(some, dtype=float).reshape(-1, 4) * scale
        # Far outside is as good as just outside, and fits OpenCV's integers.
        corners = np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)
        for x1, y1, x2, y2 in np.clip(corners, -9, THUMBNAIL + 9).round().astype(int).tolist():
            cv2.rectangle(small, (x1, y1), (x2, y2), color, 1)
    _, encoded = cv2.imencode(".jpg", small)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded).decode('ascii')}"


def size_shares(levels: LevelStatistics) -> list[tuple[str, float, float]]:
    """Each bin of sizes: its name, the shares of boxes by root of area and by longer side."""
    counts = [np.histogram(values, BINS)[0] for values in (levels.sides, levels.longest)]
    shares = np.stack(counts, axis=1) / max(len(levels.sides), 1)
    labels = [f"{low:g} - {high:g} px" for low, high in zip(BINS[:-2], BINS[1:-1], strict=True)]
    labels.append(f"over {BINS[-2]:g} px")
    return [(label, *pair) for label, pair in zip(labels, shares.tolist(), strict=True)]


def histogram_svg(levels: LevelStatistics) -> str:
    """The bins as pairs of bars, above the ranges of the levels on the same scale."""
    step, height = 84, 160  # px: a bin, which its label fills, and the bars
    parts = []
    for i, (label, share, longest) in enumerate(size_shares(levels)):
        for shift, value, color in ((14, share, "#4878d0"), (42, longest, "#ee854a")):
            tall = height * value
            parts.append(
                f"<rect x='{i * step + shift}' y='{height - tall + 20:.1f}' width='28' "
                f"height='{tall:.1f}' fill='{color}'><title>{label}: {value:.1%}</title></rect>"
            )
        parts.append(f"<text x='{i * step + step // 2}' y='{height + 36}'>{label}</text>")
    for row, (name, (low, high)) in enumerate(zip(levels.names, levels.ranges, strict=True)):
        left, right = (_bin_position(side) * step for side in (low, high))
        y = height + 48 + 18 * row
        parts.append(
            f"<rect x='{left:.1f}' y='{y}' width='{right - left:.1f}' height='15' fill='#ddd'/>"
            f"<text x='{(left + right) / 2:.1f}' y='{y + 12}'>{name}</text>"
        )
    size = (len(BINS) - 1) * step, height + 52 + 18 * len(levels.names)
    return (
        f"<svg width='{size[0]}' height='{size[1]}' font-size='11' text-anchor='middle'>"
        f"{''.join(parts)}</svg><p>Shares of the boxes by root of the area (blue) and longer side "
        "(orange). Gray: the farthest side that a location of each level learns, which lies "
        "between half and all of the longer side.</p>"
    )


def _bin_position(side: float) -> float:
    """Where a size in px lies on an axis on which each bin has the length 1."""
    return float(np.interp(np.log2(max(side, 1)), [0, *np.log2(BINS[1:-1]), 10], range(len(BINS))))


def check_dataset(
    name: str,
    coco: Coco,
    images: str | Path,
    problems: list[Problem],
    generator: FCOSProposalGenerator,
    input_sizes: Callable[[Sequence[Size]], np.ndarray],
    *,
    val: Coco | None = None,
    val_images: str | Path | None = None,
    decode: bool = True,
    workers: int | None = None,
) -> DatasetReport:
    """Everything that can be said of a dataset.

    Args:
        name: for the title.
        coco, images, problems: as `read_dataset` gives them.
        generator, input_sizes: see `level_statistics`.
        val: the validation set, to find shared images.
        val_images: the folder of its images; None for the same folder.
        decode: read every image.
        workers: processes that do so; None for one per core.
    """
    val_images = images if val_images is None else val_images
    # In two folders, equal names are no sign of equal images, and in one folder a sure one.
    one_folder = os.path.realpath(images) == os.path.realpath(val_images)
    compare_content = decode and val is not None and not one_folder
    found = judge_training_set(coco, problems)
    problems = [*found, *check_sets(coco, val if one_folder else None)]
    if compare_content:
        problems += shared_content(coco["images"], images, val["images"], val_images)
    if decode:
        found, unreadable = check_images(coco["images"], images, workers)
        problems += found
        coco = without_images(coco, unreadable)
    levels = level_statistics(coco, generator, input_sizes)
    return DatasetReport(name, coco, Path(images), problems, levels)


def without_images(coco: Coco, image_ids: set[int]) -> Coco:
    """`coco` without some images and their boxes."""
    return {
        "images": [x for x in coco["images"] if x["id"] not in image_ids],
        "annotations": [x for x in coco["annotations"] if x["image_id"] not in image_ids],
        "categories": coco["categories"],
    }
