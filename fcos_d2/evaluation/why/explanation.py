"""What a user gets of one object: a step, a paragraph, a table and a picture."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from tabulate import tabulate

from ...datasets.ids import Id

COLUMNS = ("level", "x, y", "class", "quality", "score", "box (px of the image)", "IoU", "went at")


class Row(NamedTuple):
    """One location, with its candidate of the object's class."""

    view: int  # number of the view
    level: str
    stride: int  # px
    x: float  # px of the image
    y: float
    class_probability: float
    quality: float | None  # centerness or IoU; None: the detector has none
    score: float
    surest_class: str  # of the location
    surest_probability: float
    box: tuple[float, float, float, float]  # decoded, xyxy px of the image
    iou: float  # of this box with the object
    went_at: str  # the step at which it was lost, or "kept"
    learns: bool  # whether the location learns this object in training

    def cells(self) -> list[str]:
        """The row of the table."""
        quality = "-" if self.quality is None else f"{self.quality:.3f}"
        box = " ".join(f"{x:.0f}" for x in self.box)
        place = f"{self.x:.0f}, {self.y:.0f}"
        level = f"{self.level}{' *' if self.learns else ''}"
        probability = f"{self.class_probability:.3f}"
        if self.surest_probability > self.class_probability:
            probability += f" ({self.surest_class} {self.surest_probability:.3f})"
        score, iou = f"{self.score:.3f}", f"{self.iou:.2f}"
        return [level, place, probability, quality, score, box, iou, self.went_at]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why an object was missed, or how it was found.

    Attributes:
        step: one of STEPS.
        paragraph: the same in English.
        rows: the locations that matter most, from the one that went farthest.
        class_name, box: of the object; xyxy px of the image.
        id: of its annotation, if it has one.
        image: name of the file, if it has one.
        image_size, input_size, input_box: (h, w) px of the image, of the network's input in the
            view that tells most, and the box there, which may reach over the border of a tile.
        could_learn, learn: number of locations that learn the object where it is alone, and among
            the others of the image.
        remedy, step_after: the change that removes the cause, and the object's step with it.
    """

    step: str
    paragraph: str
    rows: list[Row]
    class_name: str
    box: tuple[float, float, float, float]
    id: Id | None
    image: str
    image_size: tuple[int, int]
    input_size: tuple[int, int]
    input_box: tuple[float, float, float, float]
    could_learn: int
    learn: int
    remedy: str | None
    step_after: str | None
    drawer: Callable[[], np.ndarray] = field(repr=False, compare=False)

    def draw(self) -> np.ndarray:
        """The picture: the object, its locations, and what they say; uint8 BGR (h, w, 3)."""
        return self.drawer()

    def table(self) -> str:
        """The rows as text; a star marks locations that learn the object in training."""
        return tabulate([row.cells() for row in self.rows], COLUMNS, disable_numparse=True)

    def as_dict(self) -> dict:
        """What a json file holds of it."""
        names = [name for name in self.__dataclass_fields__ if name not in ("rows", "drawer")]
        fields = {name: getattr(self, name) for name in names}
        return {**fields, "rows": [row._asdict() for row in self.rows]}
