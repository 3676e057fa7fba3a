"""The findings of a check as a page of text, as HTML, and as an exit code."""

import base64
import html
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...modeling import FCOSProposalGenerator
from ..image import ImageError, read_image
from ..problems import SEVERITIES, Problem, summarise
from .images import check_images
from .levels import LevelStatistics, level_statistics
from .sets import check_sets

Coco = dict[str, list[dict]]
BINS = (0, 4, 8, 16, 32, 64, 128, 256, 512, np.inf)  # px, square root of the area
PICTURES = 24  # of problems, in the HTML report


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
        classes = [f"{names[i]} {n}" for i, n in counts.most_common(12)]
        more = f", and {len(names) - 12} more" if len(names) > 12 else ""
        return [
            f"{self.name}: {len(self.coco['images'])} images, "
            f"{len(self.coco['annotations'])} boxes, {len(names)} classes",
            f"boxes per class: {', '.join(classes)}{more}",
        ]

    def _sizes(self) -> list[str]:
        levels = self.levels
        lines = [f"box sizes at a short side of {levels.short_side} px (root of the area)"]
        counts = np.histogram(levels.sides, BINS)[0]
        for low, high, count in zip(BINS[:-1], BINS[1:], counts, strict=True):
            share = count / max(len(levels.sides), 1)
            label = f"{low:g} - {high:g} px" if np.isfinite(high) else f"over {low:g} px"
            lines.append(f"  {label:>12} {share:6.1%} {'#' * round(50 * share)}")
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
        style = (
            "body{font-family:sans-serif;margin:2em}h1{overflow-wrap:anywhere}pre{background:#f4f4f4;padding:1em}"
            "td{padding:.2em .6em;vertical-align:top}figure{display:inline-block;margin:.5em;"
            "max-width:320px}img{max-width:320px}.error{background:#fdd}.warning{background:#ffd}"
        )
        summary = "\n".join([*self._counts(), "", *self._sizes()])
        return (
            f"<!doctype html><meta charset='utf-8'><title>{html.escape(self.name)}</title>"
            f"<style>{style}</style><h1>{html.escape(self.name)}</h1>"
            f"<pre>{html.escape(summary)}</pre><h2>Problems</h2>{pictures}"
            f"<table><tr><th>severity</th><th>what</th><th>where</th><th>done</th></tr>{rows}</table>"
        )

    def _pictures(self) -> list[tuple[str, str]]:
        """Small pictures, with their boxes, of images that problems name."""
        boxes: dict[int, list] = {}
        for annotation in self.coco["annotations"]:
            boxes.setdefault(annotation["image_id"], []).append(annotation["bbox"])
        stems = {Path(image["file_name"]).name: image for image in self.coco["images"]}
        stems |= {Path(name).stem: image for name, image in list(stems.items())}
        found, shown = [], set()
        for problem in sorted(self.problems, key=lambda p: -SEVERITIES.index(p.severity)):
            words = problem.where.replace(":", " ").replace(",", " ").split()
            image = next((stems[w] for x in words for w in (x, Path(x).stem) if w in stems), None)
            if image is None or image["id"] in shown or len(found) == PICTURES:
                continue
            shown.add(image["id"])
            url = _thumbnail(self.images / image["file_name"], boxes.get(image["id"], []))
            if url:
                found.append((url, str(problem)))
        return found


def _thumbnail(path: Path, boxes: list) -> str | None:
    try:
        image = read_image(path)
    except ImageError:
        return None
    scale = 320 / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for x, y, width, height in np.array(boxes, dtype=float).reshape(-1, 4) * scale:
        corners = (round(x), round(y)), (round(x + width), round(y + height))
        cv2.rectangle(small, *corners, (0, 200, 255), 1)
    _, encoded = cv2.imencode(".jpg", small)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded).decode('ascii')}"


def check_dataset(
    name: str,
    coco: Coco,
    images: str | Path,
    problems: list[Problem],
    generator: FCOSProposalGenerator,
    short_side: int,
    long_side: int,
    *,
    val: Coco | None = None,
    decode: bool = True,
    workers: int | None = None,
) -> DatasetReport:
    """Everything that can be said of a dataset.

    Args:
        name: for the title.
        coco, images, problems: as `read_dataset` gives them.
        generator, short_side, long_side: see `level_statistics`.
        val: the validation set, to find shared images.
        decode: read every image.
        workers: processes that do so; None for one per core.
    """
    problems = [*problems, *check_sets(coco, val)]
    if decode:
        found, unreadable = check_images(coco["images"], images, workers)
        problems += found
        coco = without_images(coco, unreadable)
    levels = level_statistics(coco, generator, short_side, long_side)
    return DatasetReport(name, coco, Path(images), problems, levels)


def without_images(coco: Coco, image_ids: set[int]) -> Coco:
    """`coco` without some images and their boxes."""
    return {
        "images": [x for x in coco["images"] if x["id"] not in image_ids],
        "annotations": [x for x in coco["annotations"] if x["image_id"] not in image_ids],
        "categories": coco["categories"],
    }
