"""The findings of a check as a page of text, as HTML, and as an exit code."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fcos_deploy.text import shown

from ...modeling import FCOSProposalGenerator
from ..problems import SEVERITIES, Problem, summarise
from ..training_set import judge_training_set
from .histogram import histogram_svg, size_shares
from .images import check_images, shared_content, shared_looks
from .levels import LevelStatistics, Size, level_statistics
from .page import pictures_of, report_page
from .sets import check_sets

Coco = dict[str, list[dict]]


@dataclass
class DatasetReport:
    """What was found in a dataset."""

    name: str
    coco: Coco  # without what was wrong
    images: Path
    problems: list[Problem]
    levels: LevelStatistics
    partners: dict[str, str] = field(default_factory=dict)  # image -> what it is nearly the same as

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
        lines.append(
            "locations that learn, by level"
            if levels.sizes_decide
            else "locations that may learn, by level, of which the assigner chooses"
        )
        for name, positives, (low, high), stride in zip(
            levels.names, levels.positives, levels.ranges, levels.strides, strict=True
        ):
            sizes = f", farthest side {low:g} to {high:g} px" if levels.sizes_decide else ""
            lines.append(f"  {name} (stride {stride}{sizes}): {positives}, {positives / total:.1%}")
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
        names = {image["id"]: image["file_name"] for image in self.coco["images"]}
        boxes: dict[str, list] = {}
        for annotation in self.coco["annotations"]:
            boxes.setdefault(names[annotation["image_id"]], []).append(annotation["bbox"])
        return report_page(
            self.name,
            "\n".join([*self._counts(), "", *self._sizes()]),
            histogram_svg(self.levels),
            self.problems,
            pictures_of(self.problems, boxes, self.images, self.partners),
        )


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
    """Checks a dataset.

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
    found = judge_training_set(coco, problems)
    problems = [*found, *check_sets(coco, val if one_folder else None)]
    if decode and val is not None and not one_folder:
        problems += shared_content(coco["images"], images, val["images"], val_images)
    partners: dict[str, str] = {}
    if decode and val is not None:
        found, partners = shared_looks(coco["images"], images, val["images"], val_images)
        problems += found
    if decode:
        found, unreadable = check_images(coco["images"], images, workers)
        problems += found
        coco = without_images(coco, unreadable)
    levels = level_statistics(coco, generator, input_sizes)
    return DatasetReport(name, coco, Path(images), problems, levels, partners)


def without_images(coco: Coco, image_ids: set[int]) -> Coco:
    """`coco` without some images and their boxes."""
    return {
        "images": [x for x in coco["images"] if x["id"] not in image_ids],
        "annotations": [x for x in coco["annotations"] if x["image_id"] not in image_ids],
        "categories": coco["categories"],
    }
