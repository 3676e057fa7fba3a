"""Detections as JSON."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from .detector import Detections
from .files import last_part
from .text import read_json
from .writing import replacing


def objects_of(found: Detections, class_names: list[str]) -> list[dict]:
    """Class, score and box (xyxy px) of each object, ready for JSON."""
    return [
        {"class": class_names[label], "score": round(float(score), 5), "box_xyxy": _rounded(box)}
        for box, score, label in zip(found.boxes, found.scores, found.classes, strict=True)
    ]


class PlainResults:
    """For each image or frame its name, and class, score and box of each object."""

    def __init__(self, class_names: list[str]) -> None:
        """`class_names` are those of the model."""
        self._class_names = class_names

    def rows(self, name: str | int, found: Detections) -> list[dict]:
        """The one row of an image, or of the frame with that number."""
        key = "frame" if isinstance(name, int) else "image"
        return [{key: name, "objects": objects_of(found, self._class_names)}]


class CocoResults:
    """COCO's result format, which its metric reads.

    Attributes:
        unknown: images that are not in the annotation file.
    """

    def __init__(self, annotation_file: str | Path, class_names: list[str]) -> None:
        """
        Args:
            annotation_file: of the dataset; it gives the ids of images and classes.
            class_names: of the model.

        Raises:
            ValueError: not a COCO file, or one without these classes; names it.
        """
        if not Path(annotation_file).is_file():
            raise ValueError(f"{annotation_file}: no such file")
        coco: Any = read_json(annotation_file)
        try:
            self._image_ids = {x["file_name"]: x["id"] for x in coco["images"]}
            ids = {x["name"]: x["id"] for x in coco["categories"]}
            # Names written on Windows; an exact name has precedence.
            turned = {x.replace("\\", "/"): i for x, i in self._image_ids.items() if "\\" in x}
            self._image_ids = turned | self._image_ids
        except (AttributeError, KeyError, TypeError):
            raise ValueError(f"{annotation_file}: not a COCO annotation file") from None
        if missing := [name for name in class_names if name not in ids]:
            raise ValueError(f"{annotation_file}: it has no class {', '.join(map(repr, missing))}")
        self._class_ids = [ids[name] for name in class_names]
        # Names in the file may begin with a folder that is not part of the path to the images.
        ids_of_name: dict[str, set] = {}
        for name, i in self._image_ids.items():
            ids_of_name.setdefault(last_part(name), set()).add(i)
        self._by_name = {name: ids.pop() for name, ids in ids_of_name.items() if len(ids) == 1}
        self.unknown: list[str] = []

    def rows(self, name: str | int, found: Detections) -> list[dict]:
        """One for each detection on an image; none for an unknown image."""
        image_id = self._image_id(Path(str(name)))
        if image_id is None:
            self.unknown.append(str(name))
            return []
        xywh = np.concatenate((found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]), axis=1)
        return [
            {
                "image_id": image_id,
                "category_id": self._class_ids[label],
                "bbox": _rounded(box),
                "score": round(float(score), 6),
            }
            for box, score, label in zip(xywh, found.scores, found.classes, strict=True)
        ]

    def _image_id(self, path: Path) -> int | None:
        for i in range(len(path.parts)):
            if (image_id := self._image_ids.get(Path(*path.parts[i:]).as_posix())) is not None:
                return image_id
        return self._by_name.get(path.name)


class JsonFile:
    """A JSON list that is written row by row, so that long runs need no more memory.

    To be used in a `with` statement. The file gets its name only when it is complete, also after
    Ctrl-C; after an error, an earlier file stays as it was.
    """

    def __init__(self, path: Path) -> None:
        """Makes the folder and the file; OSError if that is not possible."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(f"{path}: a folder, name a file in it")
        self._stack = ExitStack()
        part = self._stack.enter_context(replacing(path))
        self._file = self._stack.enter_context(part.open("w", encoding="utf-8"))
        self._separator = "["

    def add(self, rows: list[dict]) -> None:
        """Appends the rows."""
        for row in rows:
            self._file.write(self._separator + json.dumps(row))
            self._separator = ", "

    def __enter__(self) -> "JsonFile":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._stack:
            if error is not None:
                raise error
            self._file.write("[]" if self._separator == "[" else "]")


def _rounded(box: np.ndarray) -> list[float]:
    return [round(float(x), 3) for x in box]
