"""Detections as JSON."""

import json
from pathlib import Path

import numpy as np

from .detector import Detections


def plain_result(name: str, found: Detections, class_names: list[str]) -> dict:
    """One image or frame: its name, and class, score and box (xyxy px) of each object."""
    return {
        "image": name,
        "objects": [
            {"class": class_names[c], "score": round(float(s), 5), "box_xyxy": _rounded(b)}
            for b, s, c in zip(found.boxes, found.scores, found.classes, strict=True)
        ],
    }


class CocoResults:
    """COCO's result format, which its metric reads."""

    def __init__(self, annotation_file: str | Path, class_names: list[str]) -> None:
        """
        Args:
            annotation_file: of the dataset; tells the ids of images and classes.
            class_names: of the model.

        Raises:
            ValueError: no COCO file, or one without these classes; names it.
        """
        try:
            coco = json.loads(Path(annotation_file).read_text(encoding="utf-8"))
            self._image_ids = {x["file_name"]: x["id"] for x in coco["images"]}
            ids = {x["name"]: x["id"] for x in coco["categories"]}
        except OSError:
            raise ValueError(f"{annotation_file}: no such file") from None
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{annotation_file}: not a COCO annotation file") from None
        if missing := [name for name in class_names if name not in ids]:
            raise ValueError(f"{annotation_file}: it has no class {', '.join(map(repr, missing))}")
        self._class_ids = [ids[name] for name in class_names]
        # Names in the file may hold folders, and those of images on disk others.
        self._image_ids |= {Path(name).name: i for name, i in self._image_ids.items()}
        self.rows: list[dict] = []
        self.unknown: list[str] = []  # images that the annotation file does not have

    def add(self, path: Path, found: Detections) -> None:
        """The detections on one image."""
        image_id = self._image_ids.get(path.as_posix(), self._image_ids.get(path.name))
        if image_id is None:
            self.unknown.append(str(path))
            return
        xywh = np.concatenate((found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]), axis=1)
        for box, score, label in zip(xywh, found.scores, found.classes, strict=True):
            row = {"image_id": image_id, "category_id": self._class_ids[label]}
            self.rows.append({**row, "bbox": _rounded(box), "score": round(float(score), 6)})


def _rounded(box: np.ndarray) -> list[float]:
    return [round(float(x), 3) for x in box]
