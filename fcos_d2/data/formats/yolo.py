"""YOLO txt: a data.yaml, images in folders, and a file of boxes for each image."""

from pathlib import Path

import yaml

from fcos_deploy.image import image_extensions

from ..problems import Problem
from .records import Coco, Record, corners_to_box, image_record, records_to_coco


def read_yolo(data_yaml: str | Path, split: str = "train") -> tuple[Coco, list[Problem], Path]:
    """One split of a YOLO dataset as COCO.

    A line of a label file is `class cx cy w h`, each but the class in [0, 1]; of a line with more
    numbers, a polygon, the box is taken. An image without label file has no objects.

    Args:
        data_yaml: with train, val (test) and names, as Ultralytics and Roboflow write it.
        split: "train", "val" or "test".

    Returns:
        The COCO dict, the problems, and the folder that the file names are relative to.

    Raises:
        ValueError: no such file, split or image, or no names.
    """
    data_yaml = Path(data_yaml)
    data = _read_yaml(data_yaml)
    names = _names(data, data_yaml)
    entry = data.get(split) or (data.get("valid") if split == "val" else None)
    if not entry:
        there = [key for key in ("train", "val", "valid", "test") if data.get(key)]
        raise ValueError(f"{data_yaml}: no split {split!r}; it has {', '.join(there) or 'none'}")
    root = data_yaml.parent / (data.get("path") or "")
    files = [file for part in _as_list(entry) for file in _images_of(root, part, data_yaml)]
    if not files:
        raise ValueError(f"{data_yaml}: no image in {split!r} ({entry})")
    problems: list[Problem] = []
    records: list[Record] = []
    for file in files:
        if image := image_record(file, root, str(data_yaml), problems):
            records.append((image, _read_labels(_label_file(file), image, names, problems)))
    return records_to_coco(records, names, problems), problems, root


def _read_yaml(path: Path) -> dict:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid yaml ({str(error).splitlines()[0]})") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path}: holds no keys such as train, val and names")
    return data


def _names(data: dict, path: Path) -> list[str]:
    names = data.get("names")
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise ValueError(f"{path}: names must be numbered 0, 1, 2, ..., got {sorted(names)}")
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not names:
        raise ValueError(f"{path}: no 'names' of the classes")
    return [str(name) for name in names]


def _as_list(entry: object) -> list[str]:
    return [str(x) for x in entry] if isinstance(entry, list) else [str(entry)]


def _images_of(root: Path, part: str, data_yaml: Path) -> list[Path]:
    """The images of a folder, or of a text file that lists them."""
    # Roboflow writes ../train/images although the folder lies beside the file.
    candidates = (root / part, data_yaml.parent / part, data_yaml.parent / part.removeprefix("../"))
    path = next((p for p in candidates if p.exists()), None)
    if path is None:
        raise ValueError(f"{data_yaml}: {part} is not there (looked for {candidates[0]})")
    if path.is_file():
        lines = [x.strip() for x in path.read_text(encoding="utf-8").splitlines() if x.strip()]
        return [p if (p := Path(line)).is_absolute() else path.parent / p for line in lines]
    found = (p for p in path.rglob("*") if p.suffix.lower() in image_extensions())
    return sorted(p for p in found if p.is_file())


def _label_file(image: Path) -> Path:
    """a/images/b.jpg -> a/labels/b.txt: the last folder called images counts."""
    parts = list(image.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _read_labels(path: Path, image: dict, names: list[str], problems: list[Problem]) -> list[dict]:
    boxes = []
    if not path.is_file():
        return boxes
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path.name} line {number}"
        try:
            class_id, *values = (float(x) for x in line.split())
        except ValueError:
            values = []
        if len(values) < 4 or len(values) % 2 or not 0 <= class_id < len(names):
            kind = "line that is not a class and its box"
            text = f"{where}: {line.strip()!r} ({len(names)} classes)"
            problems.append(Problem("error", kind, text, "left out"))
            continue
        corners = _corners(values, image)
        if box := corners_to_box(corners, image, names[int(class_id)], where, problems):
            boxes.append(box)
    return boxes


def _corners(values: list[float], image: dict) -> list[float]:
    """Of a box (cx, cy, w, h) or a polygon (x, y, x, y, ...), all in [0, 1], in px."""
    width, height = image["width"], image["height"]
    if len(values) > 4:
        xs, ys = values[0::2], values[1::2]
        return [min(xs) * width, min(ys) * height, max(xs) * width, max(ys) * height]
    cx, cy, w, h = values
    return [
        (cx - w / 2) * width,
        (cy - h / 2) * height,
        (cx + w / 2) * width,
        (cy + h / 2) * height,
    ]
