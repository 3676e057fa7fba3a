"""Detections of any detector beside the ground truth: read, checked, and as arrays."""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fcos_deploy.text import read_json

from ..class_names import listed
from ..datasets.ids import Id, find_id, number_ids
from .coco_truth import hotcoco

logger = logging.getLogger(__name__)

_BEYOND = 1.02  # of an image's side: what rounding and clipping leave beyond its border
_NUMBERS = {int, float}
_SUSPICIOUS = 0.2  # share of the boxes of a file


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """Boxes of a whole set, (n,) each.

    Attributes:
        image: index of the image, see `DetectionSet.images`.
        label: index of the class.
        xywh: (n, 4) px.
        score: 1 for ground truth.
        area: px²; of ground truth what the file says, which for masks is less than the box.
        crowd: a region of many objects, which counts neither for nor against.
    """

    image: np.ndarray
    label: np.ndarray
    xywh: np.ndarray
    score: np.ndarray
    area: np.ndarray
    crowd: np.ndarray

    def __len__(self) -> int:
        return len(self.image)

    def of(self, keep: np.ndarray) -> "Boxes":
        """Those at some positions, or where a mask is true."""
        return Boxes(**{name: values[keep] for name, values in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class DetectionSet:
    """Ground truth, detections and the folder of the images together.

    Attributes:
        truth: COCO dict.
        detections: rows of a COCO results file with the ids of `truth`, as `read_results` gives.
        folder: of the images; None where no image is at hand.
        source: what messages call the ground truth.
    """

    truth: dict
    detections: list[dict] = field(repr=False)
    folder: Path | None = None
    source: str = "the ground truth"

    def __post_init__(self) -> None:
        """Raises ValueError for two images, or two classes, of one id, and without hotcoco."""
        if hotcoco is None:
            raise ValueError("reports and comparisons need hotcoco: pip install hotcoco")
        for kind in ("images", "categories"):
            twice = [i for i, n in Counter(x["id"] for x in self.truth[kind]).items() if n > 1]
            if twice:
                raise ValueError(
                    f"{self.source}: several {kind} have the id {twice[0]!r}; number them anew "
                    "(`fcos check --fix` does)"
                )

    @cached_property
    def images(self) -> list[dict]:
        """The images in the order of their index, which is that of their ids."""
        numbers = self._image_numbers
        return sorted(self.truth["images"], key=lambda image: numbers[image["id"]])

    @cached_property
    def categories(self) -> list[dict]:
        """The classes in the order of their index, which is that of their ids."""
        numbers = number_ids(x["id"] for x in self.truth["categories"])
        return sorted(self.truth["categories"], key=lambda category: numbers[category["id"]])

    @property
    def class_names(self) -> list[str]:
        return [str(category["name"]) for category in self.categories]

    @cached_property
    def objects(self) -> Boxes:
        """The ground truth."""
        return self._boxes(self.truth.get("annotations", []))

    @cached_property
    def found(self) -> Boxes:
        """The detections."""
        return self._boxes(self.detections)

    @cached_property
    def coco(self) -> "hotcoco.COCO":
        """The ground truth for hotcoco; ids are indices + 1, as 0 is no id to some tools."""
        images = [
            {
                "id": i,
                "file_name": str(x.get("file_name", "")),
                "width": int(x.get("width") or 0),
                "height": int(x.get("height") or 0),
            }
            for i, x in enumerate(self.images, start=1)
        ]
        categories = [{"id": k, "name": name} for k, name in enumerate(self.class_names, start=1)]
        objects = self.objects
        return hotcoco.COCO.from_arrays(
            images,
            categories,
            objects.image + 1,
            objects.label + 1,
            objects.xywh,
            area=objects.area,
            iscrowd=objects.crowd,
        )

    @cached_property
    def rows(self) -> np.ndarray:
        """The detections for `match_boxes`: (D, 7), see `coco_boxes`, with the ids of `coco`."""
        found = self.found
        return np.column_stack((found.image + 1, found.xywh, found.score, found.label + 1))

    @cached_property
    def _image_numbers(self) -> dict[Id, int]:
        return number_ids(x["id"] for x in self.truth["images"])

    def _boxes(self, rows: Sequence[dict]) -> Boxes:
        images = {image["id"]: i for i, image in enumerate(self.images)}
        labels = {category["id"]: k for k, category in enumerate(self.categories)}
        xywh = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
        area = xywh[:, 2] * xywh[:, 3]
        if rows and "score" not in rows[0]:
            area = np.array(
                [row.get("area", a) for row, a in zip(rows, area, strict=True)], dtype=np.float64
            )
        return Boxes(
            image=np.array([images[row["image_id"]] for row in rows], dtype=np.int64),
            label=np.array([labels[row["category_id"]] for row in rows], dtype=np.int64),
            xywh=xywh,
            score=np.array([row.get("score", 1.0) for row in rows], dtype=np.float64),
            area=area,
            crowd=np.array([bool(row.get("iscrowd", 0)) for row in rows], dtype=bool),
        )


def by_image(image: np.ndarray, count: int) -> list[np.ndarray]:
    """The positions of what each of `count` images has, in their order."""
    order = np.argsort(image, kind="stable")
    return np.split(order, np.searchsorted(image[order], np.arange(1, count)))


def read_results(path: str | Path, truth: dict) -> list[dict]:
    """The rows of a COCO results file, of any detector, with the ids of the ground truth.

    Args:
        path: json list of image_id, category_id, bbox (x, y, width, height in px) and score.
        truth: COCO dict.

    Raises:
        ValueError: no such file, or images, classes or numbers that cannot be; names the first.
    """
    rows = _read(Path(path))
    images = {image["id"]: image for image in truth["images"]}
    categories = {category["id"] for category in truth["categories"]}
    image_of, category_of = _Known(images), _Known(categories)
    checked = []
    for number, row in enumerate(rows, start=1):
        try:
            image_id, category_id = image_of[row["image_id"]], category_of[row["category_id"]]
            score, bbox = row["score"], row["bbox"]
        except (KeyError, TypeError):
            raise ValueError(f"{path}: row {number} {_without(row)}") from None
        if image_id is None:
            raise ValueError(
                f"{path}: row {number} is on image {row['image_id']!r}, which the data lack; give "
                "the data that these results were made on"
            )
        if category_id is None:
            raise ValueError(_other_numbering(path, rows, categories, row["category_id"]))
        if not _are_right(bbox, score):
            where = f"{path}: row {number} (image {row['image_id']!r})"
            raise ValueError(f"{where}: {_wrong_numbers(bbox, score)}")
        new = {"image_id": image_id, "category_id": category_id, "bbox": bbox, "score": score}
        checked.append(new)
    for line in _doubts(checked, images):
        logger.warning("%s: %s", path, line)
    return checked


class _Known(dict):
    """Ids as a file of results writes them -> as the data do; None for one that they lack."""

    def __init__(self, known: Any) -> None:
        self._known = known

    def __missing__(self, given: object) -> Id | None:
        self[given] = found = find_id(given, self._known)
        return found


def _read(path: Path) -> list[dict]:
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file of results")
    try:
        rows: Any = read_json(path)
    except ValueError as error:
        raise ValueError(f"{path}: no json ({error}); give a COCO results file") from None
    if not isinstance(rows, list):
        raise ValueError(
            f"{path}: a COCO results file is a json list of detections, this one holds "
            f"{type(rows).__name__ if not isinstance(rows, dict) else listed(list(rows))}"
        )
    return rows


def _without(row: object) -> str:
    if not isinstance(row, dict):
        return f"is no detection: {str(row)[:80]}"
    missing = [key for key in ("image_id", "category_id", "bbox", "score") if key not in row]
    if missing == ["score"]:
        return "has no score: these are annotations, not results of a detector"
    if missing:
        return f"has no {', no '.join(missing)}"
    return f"has ids that are none: {row['image_id']!r}, {row['category_id']!r}"


def _are_right(bbox: Any, score: Any) -> bool:
    """Whether these are a box and a score; quick, as a file may have millions."""
    if type(bbox) is not list or len(bbox) != 4:
        return False
    x, y, w, h = bbox
    numbers = {type(x), type(y), type(w), type(h), type(score)} <= _NUMBERS
    return numbers and 0 <= score <= 1 and w >= 0 and h >= 0 and math.isfinite(x + y + w + h)


def _wrong_numbers(bbox: Any, score: Any) -> str:
    """What is wrong with them."""
    numbers = [*bbox, score] if type(bbox) is list else [score]
    are = all(type(x) in _NUMBERS and math.isfinite(x) for x in numbers)
    if len(numbers) != 5 or not are:
        return f"box {bbox} and score {score!r} are not five numbers"
    if not 0 <= score <= 1:
        return f"score {score} is not between 0 and 1; write probabilities, not logits or percent"
    if min(bbox[2:]) < 0:
        return f"box {bbox} has a negative width or height; write x, y, width, height"
    return f"box {bbox} is too large"


def _other_numbering(path: str | Path, rows: list, known: set, first: object) -> str:
    used = {row.get("category_id") for row in rows if isinstance(row, dict)}
    shift = ""
    whole = [x for x in (*used, *known) if type(x) is int]
    if len(whole) == len(used) + len(known):
        for by in (1, -1):
            if {x + by for x in used} <= known:  # type: ignore[operator]  # all are numbers
                shift = (
                    f"; {'+' if by > 0 else '-'} 1 would fit, as if counted from {1 - max(by, 0)}"
                )
    ids = listed(sorted(map(str, known), key=lambda x: (len(x), x)))
    return (
        f"{path}: category_id {first!r} is not in the data, whose ids are {ids}{shift}; write the "
        "category ids of the data"
    )


def _doubts(rows: list[dict], images: dict) -> list[str]:
    """What is possible, but looks like a mistake."""
    if not rows:
        return ["no detection at all"]
    lines = []
    repeated = len(rows) - len({(r["image_id"], r["category_id"], *r["bbox"]) for r in rows})
    if repeated > _SUSPICIOUS * len(rows):
        lines.append(f"{repeated} rows repeat others exactly; was it written twice into one file?")
    x, y, w, h = np.array([row["bbox"] for row in rows], dtype=np.float64).T
    sizes = [images[row["image_id"]] for row in rows]
    width = np.array([size.get("width") or np.inf for size in sizes], dtype=np.float64)
    height = np.array([size.get("height") or np.inf for size in sizes], dtype=np.float64)
    beyond = (x + w > _BEYOND * width + 1) | (y + h > _BEYOND * height + 1)
    as_corners = (w >= x) & (h >= y) & (w <= _BEYOND * width + 1) & (h <= _BEYOND * height + 1)
    if beyond.mean() > _SUSPICIOUS and as_corners.mean() > 1 - _SUSPICIOUS / 4:
        lines.append(
            f"{beyond.mean():.0%} of the boxes reach beyond their images, and all would fit as "
            "corners: bbox must be x, y, width, height, not x1, y1, x2, y2"
        )
    if max(x.max(), y.max(), w.max(), h.max()) <= 1.5 and np.median(width) > 3:
        lines.append("all boxes lie within 1.5 px: bbox must be in pixels, not in shares of a side")
    return lines
