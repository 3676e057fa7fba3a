"""Hugging Face's ImageFolder: images, and their objects in metadata.jsonl or metadata.parquet."""

import json
import reprlib
from pathlib import Path
from typing import Any

from fcos_deploy.files import find_file
from fcos_deploy.text import parse_yaml, read_lines, read_text

from ..problems import Place, Problem
from .coco_fields import is_finite
from .records import Coco, Record, add_boxes, image_record, records_to_coco

METADATA = ("metadata.jsonl", "metadata.parquet")
IMAGES_INSIDE = (
    "parquet with images inside, which are not read: write them out as files, with their boxes in "
    "metadata.jsonl"
)
_CATEGORIES = ("categories", "category", "category_id", "labels", "label", "class", "name")
_BOXES = ("bbox", "bboxes", "boxes")
_AREAS = ("area", "areas")
Row = dict[str, Any]


def read_image_folder(
    path: str | Path, images: str | Path, split: str | None = None
) -> tuple[Coco, list[Problem]]:
    """The boxes of a table as COCO; they are [x, y, width, height] in px.

    Args:
        path: metadata.jsonl or metadata.parquet, with `file_name` and `objects`, which has `bbox`
            and `categories`. Categories are names, or numbers of a ClassLabel, whose names stand
            in the README.md of the dataset or in the parquet file.
        images: folder that the file names are relative to.
        split: folder that they begin with; None takes all rows.

    Raises:
        ValueError: the file cannot be read, or has no objects; pyarrow is missing; no such split.
    """
    path, images = Path(path), Path(images)
    rows, features = _read(path)
    if split is not None:
        folders = [folder_in(row.get("file_name")) for row in rows]
        rows = [row for row, folder in zip(rows, folders, strict=True) if folder == split]
        if not rows:
            there = " and ".join(sorted({f"{folder}/" for folder in folders})[:3])
            raise ValueError(f"{path}: no file_name begins with {split}/; they do with {there}")
    if not any("objects" in row for row in rows):
        raise ValueError(f"{path}: no 'objects' with boxes in it; is this for classification?")
    names = _class_names(features) or _names_of_card(path)
    problems: list[Problem] = []
    records: list[Record] = []
    found: list[dict] = []
    for number, row in enumerate(rows, start=1):
        source, name = f"{path.name} row {number}", row.get("file_name")
        if not isinstance(name, str):
            kind = "row without file_name"
            problems.append(Problem("error", kind, str(row)[:80], "left out", Place(source)))
        elif image := image_record(find_file(images, name), images, source, problems):
            place = Place(source, image["file_name"])
            boxes = _boxes(row.get("objects"), names, place, problems)
            found += ({**box, "image_id": len(records)} for box in boxes)
            records.append((image, []))
    add_boxes(found, records, str(path), problems)
    used = {box["name"] for _, boxes in records for box in boxes}
    ordered = [name for name in names if name in used] or sorted(used)
    return records_to_coco(records, ordered, problems), problems


def file_names(path: Path) -> list[str]:
    """The names of the images in a table; what is wrong in it is for `read_image_folder`."""
    return [name for row in _read(path)[0] if isinstance(name := row.get("file_name"), str)]


def folder_in(name: Any) -> str:
    """The first folder in the name of an image, which may be that of its split; "" for none."""
    parts = str(name).replace("\\", "/").removeprefix("./").split("/")
    return parts[0] if len(parts) > 1 else ""


def _read(path: Path) -> tuple[list[Row], Any]:
    return _read_parquet(path) if path.suffix == ".parquet" else (_read_lines(path), {})


def _read_lines(path: Path) -> list[Row]:
    rows = []
    for number, line in read_lines(path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: line {number} is not JSON ({error})") from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}: line {number} is no object with file_name and objects")
        rows.append(row)
    return rows


def _read_parquet(path: Path) -> tuple[list[Row], Any]:
    """The rows, and what `datasets` has kept of their types."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError(
            f"{path}: parquet needs pyarrow: pip install 'fcos_d2[parquet]' (or pyarrow)"
        ) from None
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: not a parquet file ({' '.join(str(error).split())})") from None
    if "file_name" not in table.column_names:
        raise ValueError(f"{path}: no column file_name; it is {IMAGES_INSIDE}")
    kept = (table.schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = json.loads(kept)
    except (ValueError, RecursionError):  # as of a card, it only has names for numbers
        features = {}
    columns = [x for x in ("file_name", "objects") if x in table.column_names]
    return table.select(columns).to_pylist(), features


def _class_names(features: Any) -> list[str]:
    """The names of the ClassLabel in a description of types, however deep it lies."""
    if isinstance(features, list):
        features = {str(i): value for i, value in enumerate(features)}
    if not isinstance(features, dict):
        return []
    names = features.get("names")
    if isinstance(names, dict):  # in a README.md: {'0': cat, '1': dog}
        names = [names[key] for key in sorted(names, key=lambda key: int(key))]
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return names
    return next((found for value in features.values() if (found := _class_names(value))), [])


def _names_of_card(path: Path) -> list[str]:
    """The names in the head of the README.md beside or above the table."""
    for folder in (path.parent, path.parent.parent):
        card = folder / "README.md"
        if card.is_file() and (text := read_text(card)).startswith("---\n"):
            try:
                head = parse_yaml(text[4:].split("\n---", 1)[0], card)
            except ValueError:  # it only has names for numbers, and may be about anything
                continue
            if isinstance(head, dict) and (names := _class_names(head.get("dataset_info"))):
                return names
    return []


def _boxes(objects: Any, names: list[str], place: Place, problems: list[Problem]) -> list[dict]:
    """As `add_boxes` takes them; of lists of boxes and categories, of a list of objects, or of one.

    What is wrong is left out.
    """
    if isinstance(objects, dict) and _is_box(_first(objects, _BOXES)):
        objects = [objects]
    if isinstance(objects, list) and all(isinstance(x, dict) for x in objects):
        boxes, labels, areas = (
            [_first(x, keys) for x in objects] for keys in (_BOXES, _CATEGORIES, _AREAS)
        )
    else:
        table = objects if isinstance(objects, dict) else {_BOXES[0]: objects}
        boxes, labels, areas = (_first(table, keys) or [] for keys in (_BOXES, _CATEGORIES, _AREAS))
    if not isinstance(boxes, list) or not isinstance(labels, list) or len(boxes) != len(labels):
        text = f"boxes {reprlib.repr(boxes)}, categories {reprlib.repr(labels)}"
        problems.append(Problem("error", "boxes without categories", text, "left out", place))
        return []
    if not isinstance(areas, list) or len(areas) != len(boxes):
        areas = [None] * len(boxes)
    read = []
    for box, label, area in zip(boxes, labels, areas, strict=True):
        name = _class_name(label, names)
        if name is None:
            text = f"{reprlib.repr(label)}" + (f" ({len(names)} classes)" if names else "")
            problems.append(Problem("error", "unknown category", text, "left out", place))
        elif not _is_box(box):
            kind = "box that is not four numbers"
            problems.append(Problem("error", kind, str(box)[:80], "left out", place))
        else:
            read.append({"bbox": box, "area": area, "place": place._replace(category=name)})
    return read


def _is_box(values: Any) -> bool:
    return isinstance(values, list) and len(values) == 4 and all(map(is_finite, values))


def _class_name(label: Any, names: list[str]) -> str | None:
    """Of a name, or of a number, which pandas makes a float; None for anything else."""
    if isinstance(label, str):
        return label or None
    if not is_finite(label) or label != int(label):
        return None
    if names:
        return names[int(label)] if 0 <= label < len(names) else None
    return str(int(label))


def _first(table: dict, keys: tuple[str, ...]) -> Any:
    return next((table[key] for key in keys if key in table), None)
