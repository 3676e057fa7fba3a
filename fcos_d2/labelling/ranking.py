"""Which images of a folder to label first, as a table."""

import csv
import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fcos_deploy.writing import write_bytes

from ..detections import ImageDetections
from ..predictor import Predictor
from .uncertain import Doubts, doubts_of, mirror, spread

COLUMNS = ("rank", "image", "uncertainty", "margin", "classes", "views", "why")


class Ranking:
    """Collects how much each image would teach, from the detector that looks at it."""

    def __init__(self, predictor: Predictor, thresholds: np.ndarray) -> None:
        """
        Args:
            predictor: finds boxes down to `LOWEST`.
            thresholds: score that makes a detection a label, by class, (K,).
        """
        self._predictor = predictor
        self._thresholds = thresholds
        self._pooled: list[Tensor] = []  # of the views of the image that was looked at last
        self._looked: list[tuple[str, Doubts, str, np.ndarray]] = []  # with the features
        predictor.model.backbone.register_forward_hook(self._pool)

    def _pool(self, _module: nn.Module, _inputs: object, levels: dict[str, Tensor]) -> None:
        means = [level.mean(dim=(2, 3)).float() for level in levels.values()]
        self._pooled.append(torch.cat(means, dim=1))

    def look(self, name: str, image: np.ndarray) -> ImageDetections:
        """What is found in an image, which is taken into the ranking.

        Args:
            name: of it.
            image: BGR uint8 (H, W, 3).
        """
        self._pooled.clear()
        found = self._predictor.detect(image)
        features = torch.cat(self._pooled).mean(dim=0).cpu().numpy()
        width = image.shape[1]
        mirrored = mirror(self._predictor.detect(np.ascontiguousarray(image[:, ::-1])), width)
        self._looked.append((name, *doubts_of(found, mirrored, self._thresholds), features))
        return found

    def first(self, count: int) -> list[tuple[str, Doubts, str]]:
        """The images to label first: name, doubts, and the same in words."""
        if not self._looked:
            return []
        totals = [doubts.total for _, doubts, _, _ in self._looked]
        chosen = spread(totals, np.array([x[3] for x in self._looked]), count)
        return [self._looked[i][:3] for i in chosen]


def write_ranking(path: Path, rows: list[tuple[str, Doubts, str]]) -> None:
    """Writes the images to label first as csv."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for rank, (name, doubts, why) in enumerate(rows, start=1):
        numbers = (doubts.total, doubts.margin, doubts.classes, doubts.views)
        writer.writerow([rank, name, *(f"{x:.3f}" for x in numbers), why])
    write_bytes(path, text.getvalue().encode("utf-8", "surrogateescape"))


def free_path(folder: Path) -> Path:
    """uncertain.csv, or where that is there uncertain-2.csv, ..."""
    path, number = folder / "uncertain.csv", 1
    while path.exists():
        number += 1
        path = folder / f"uncertain-{number}.csv"
    return path
