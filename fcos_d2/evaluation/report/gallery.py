"""The worst mistakes of a detector as small pictures: what it found, and what is labelled."""

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from fcos_deploy.vision import ImageError, read_image, resized

from ...pages import data_url
from ..results import Boxes, DetectionSet

PANEL = 280  # px, longer side of a picture
MARGIN = 0.7  # of the box, shown around it
LEAST = 80  # px of the image that a picture shows at least
LARGEST = 4.0  # enlargement
QUALITY = 80  # of JPEG
FOUND, LABELLED = (40, 60, 235), (120, 190, 20)  # BGR
Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake, before it is drawn.

    Attributes:
        image: index in `DetectionSet.images`.
        title: what it is, such as "RBC 0.93".
        note: more, in a few words.
        found: xyxy px that the detector found; None for a miss.
        labelled: xyxy px of the label; None where there is none.
        label: name of the class to ask `fcos why` about; None where that explains nothing.
    """

    image: int
    title: str
    note: str = ""
    found: Box | None = None
    labelled: Box | None = None
    label: str | None = None

    @property
    def area(self) -> Box:
        """The box around both, xyxy px."""
        boxes = np.array([box for box in (self.found, self.labelled) if box is not None])
        x1, y1 = boxes[:, :2].min(axis=0).tolist()
        x2, y2 = boxes[:, 2:].max(axis=0).tolist()
        return x1, y1, x2, y2


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A mistake as the page shows it."""

    title: str
    note: str
    file_name: str
    command: str  # that shows it again; "" where there is none
    found: str  # data URL; "" for an image that cannot be read
    labelled: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """The mistakes of a kind.

    Attributes:
        name: of the kind.
        total: how many there are.
        explanation: a sentence.
        pictures: of the worst.
    """

    name: str
    total: int
    explanation: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Commands:
    """How to see a mistake again on the command line; empty weights: no model is at hand."""

    weights: str = ""
    threshold: float = 0.5
    config: str = ""  # where it does not lie beside the weights

    def of(self, mistake: Mistake, path: str) -> str:
        """The command for an image at this path."""
        if not self.weights:
            return ""
        model = f"--weights {shlex.quote(self.weights)} --threshold {self.threshold:.3f}"
        if self.config:
            model += f" --config {shlex.quote(self.config)}"
        if mistake.label is not None and mistake.labelled is not None:
            box = ",".join(f"{side:g}" for side in np.round(mistake.labelled, 1).tolist())
            name = shlex.quote(mistake.label)
            return f"fcos why {shlex.quote(path)} --box {box} --class {name} {model}"
        return f"fcos predict {shlex.quote(path)} {model} --output drawn/"


def corners(xywh: np.ndarray) -> np.ndarray:
    """(..., 4) xyxy."""
    return np.concatenate((xywh[..., :2], xywh[..., :2] + xywh[..., 2:]), axis=-1)


def spread(mistakes: Iterable[Mistake], most: int, per_image: int = 2) -> list[Mistake]:
    """The first `most`, of which no image gives more than `per_image`."""
    seen: Counter[int] = Counter()
    kept = []
    for mistake in mistakes:
        seen[mistake.image] += 1
        if seen[mistake.image] <= per_image:
            kept.append(mistake)
        if len(kept) == most:
            break
    return kept


def draw(
    data: DetectionSet, kinds: Sequence[Sequence[Mistake]], threshold: float, commands: Commands
) -> list[list[Picture]]:
    """Pictures of mistakes of several kinds; each image is read once.

    Args:
        data: with the folder of the images.
        kinds: the mistakes of each.
        threshold: score from which on detections are drawn.
        commands: for the lines below the pictures.
    """
    places = [(m.image, k, i) for k, kind in enumerate(kinds) for i, m in enumerate(kind)]
    drawn: list[list[Picture | None]] = [[None] * len(kind) for kind in kinds]
    found = data.found.of(data.found.score >= threshold)
    image, last = None, -1
    for number, k, i in sorted(places):
        if number != last:
            image, last = _read(data, number), number
        drawn[k][i] = _picture(data, found, kinds[k][i], image, commands)
    return [[x for x in kind if x is not None] for kind in drawn]


def _picture(
    data: DetectionSet,
    found: Boxes,
    mistake: Mistake,
    image: np.ndarray | None,
    commands: Commands,
) -> Picture:
    name = str(data.images[mistake.image]["file_name"])
    path = str(Path(data.folder, name)) if data.folder is not None else name
    picture = Picture(
        title=mistake.title,
        note=mistake.note,
        file_name=name,
        command=commands.of(mistake, path),
        found="",
        labelled="",
    )
    if image is None:
        return picture
    window = _window(mistake.area, image.shape[:2])
    mine = corners(found.xywh[found.image == mistake.image])
    theirs = corners(data.objects.xywh[data.objects.image == mistake.image])
    return replace(
        picture,
        found=_panel(image, window, mine, mistake.found, FOUND),
        labelled=_panel(image, window, theirs, mistake.labelled, LABELLED),
    )


def _read(data: DetectionSet, number: int) -> np.ndarray | None:
    """An image; None where it is not at hand."""
    if data.folder is None:
        return None
    try:
        return read_image(data.folder / str(data.images[number]["file_name"]))
    except ImageError:
        return None


def _window(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of an image (h, w) around a box: xyxy, whole px."""
    sides = []
    for low, high, end in ((box[0], box[2], size[1]), (box[1], box[3], size[0])):
        length = min(max((1 + 2 * MARGIN) * (high - low), LEAST), end)
        start = min(max((low + high - length) / 2, 0), end - length)
        sides.append((int(start), max(int(np.ceil(start + length)), int(start) + 1)))
    return sides[0][0], sides[1][0], sides[0][1], sides[1][1]


def _panel(
    image: np.ndarray,
    window: tuple[int, int, int, int],
    boxes: np.ndarray,
    focus: Box | None,
    color: tuple[int, int, int],
) -> str:
    """A data URL of a part of an image with boxes xyxy, of which one is drawn boldly."""
    x1, y1, x2, y2 = window
    part = image[y1:y2, x1:x2]
    scale = min(PANEL / max(part.shape[:2]), LARGEST)
    small = resized(part, scale)
    rows = [(box, 1) for box in boxes] + ([(np.array(focus), 3)] if focus is not None else [])
    for box, thickness in rows:
        placed = (np.asarray(box) - [x1, y1, x1, y1]) * scale
        # Far outside is as good as just outside, and fits OpenCV's integers.
        a, b, c, d = np.clip(placed, -9, 4 * PANEL).round().astype(int).tolist()
        cv2.rectangle(small, (a, b), (c, d), color, thickness, cv2.LINE_AA)
    return data_url(small, QUALITY)
