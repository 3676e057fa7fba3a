"""YOLO txt: a data.yaml or obj.data, images in folders, and a file of boxes for each image."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fcos_deploy.files import backslash_hint, files_below, find_file
from fcos_deploy.safe_yaml import LimitedLoader
from fcos_deploy.text import read_lines, read_text
from fcos_deploy.vision import image_extensions

from ..problems import Place, Problem
from .records import Coco, Record, corners_to_box, image_record, records_to_coco
from .yolo_labels import LARGEST_SHARE, PIXELS, judge_labels

_SPLITS = ("train", "val", "valid", "test")


class Description(NamedTuple):
    """What data.yaml or obj.data says."""

    path: Path
    root: Path  # of the paths in it
    splits: dict[str, list[str]]  # folders of images, or lists of them
    names: list[str]
    key_points: tuple[int, int] | None  # how many, and the numbers of each; labels of poses
    labels_beside: bool  # labels lie beside the images, as darknet has them


def read_yolo(data_yaml: str | Path, split: str = "train") -> tuple[Coco, list[Problem], Path]:
    """One split of a YOLO dataset as COCO.

    A line of a label file is `class cx cy w h`, each but the class in [0, 1]. Of a line with more
    numbers, a polygon, the box is taken; where `kpt_shape` says that they are key points, these are
    passed over. An image without label file has no objects.

    Args:
        data_yaml: with train, val (test) and names, as Ultralytics and Roboflow write it; or
            darknet's obj.data, as CVAT writes it.
        split: "train", "val" or "test".

    Returns:
        The COCO dict, the problems, and the folder that the file names are relative to.

    Raises:
        ValueError: no such file, split or image, or no names.
    """
    data_yaml = Path(data_yaml)
    data = _read_darknet(data_yaml) if data_yaml.suffix == ".data" else _read_yaml(data_yaml)
    entry = data.splits.get(split) or (data.splits.get("valid") if split == "val" else None)
    if not entry:
        there = ", ".join(data.splits) or "none"
        raise ValueError(f"{data_yaml}: no split {split!r}; it has {there}")
    files = [file for part in entry for file in _images_of(data, part)]
    if not files:
        raise ValueError(f"{data_yaml}: no image in {split!r} ({', '.join(entry)})")
    problems: list[Problem] = []
    records: list[Record] = []
    for file in files:
        if image := image_record(file, data.root, str(data_yaml), problems):
            boxes = _read_labels(_label_file(file, data), image, data, problems)
            if boxes is not None:
                records.append((image, boxes))
    label_files = [_label_file(file, data) for file in files]
    problems = judge_labels(label_files, problems, str(data_yaml))
    return records_to_coco(records, data.names, problems), problems, data.root


# --- the description of the dataset -------------------------------------------------------------


def _read_yaml(path: Path) -> Description:
    """As `Description`; every value as it is written: yaml would turn a class `no` into False."""
    text = read_text(path)
    try:
        root = yaml.compose(text, Loader=LimitedLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path}: not valid yaml ({' '.join(str(error).split())})") from None
    if not isinstance(root, yaml.MappingNode):
        raise ValueError(f"{path}: holds no keys such as train, val and names")
    nodes = {key.value: value for key, value in root.value if isinstance(key, yaml.ScalarNode)}
    splits = {key: _texts(nodes[key]) for key in _SPLITS if key in nodes}
    folder = find_file(path.parent, "".join(_texts(nodes["path"])[:1]) if "path" in nodes else "")
    return Description(
        path,
        folder if folder.is_dir() else path.parent,  # that of another machine
        {key: entry for key, entry in splits.items() if entry},
        _names(nodes.get("names"), path),
        _key_points(nodes["kpt_shape"], path) if "kpt_shape" in nodes else None,
        labels_beside=False,
    )


def _texts(node: yaml.Node) -> list[str]:
    """A text or a list of them; none of what is empty or null."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    texts = [x for x in nodes if isinstance(x, yaml.ScalarNode) and not x.tag.endswith(":null")]
    return [x.value for x in texts if x.value]


def _names(node: yaml.Node | None, path: Path) -> list[str]:
    names: list[Any] = []
    if isinstance(node, yaml.MappingNode):
        numbered = {str(key.value): value for key, value in node.value}
        names = [numbered.get(str(i)) for i in range(len(numbered))]
        if None in names:
            given = sorted(map(str, numbered))
            raise ValueError(f"{path}: names must be numbered 0, 1, 2, ..., got {given}")
    elif isinstance(node, yaml.SequenceNode):
        names = node.value
    if not names or not all(isinstance(name, yaml.ScalarNode) for name in names):
        raise ValueError(f"{path}: no 'names' of the classes")
    texts = [name.value for name in names]
    if "" in texts:
        raise ValueError(f"{path}: class {texts.index('')} of 'names' has none")
    return texts


def _key_points(node: yaml.Node, path: Path) -> tuple[int, int]:
    texts = _texts(node)
    if len(texts) != 2 or not all(x.isdecimal() for x in texts) or texts[1] not in ("2", "3"):
        raise ValueError(f"{path}: kpt_shape must be [number of points, 2 or 3], got {texts}")
    return int(texts[0]), int(texts[1])


def _read_darknet(path: Path) -> Description:
    """Of `key = value` lines with train, valid and names, which is a file of names."""
    pairs = [line.partition("=") for _, line in read_lines(path) if not line.startswith("#")]
    values = {key.strip(): value.strip() for key, _, value in pairs}
    if not values.get("names"):
        raise ValueError(f"{path}: no 'names', a file of the class names")
    data = Description(
        path,
        path.parent,
        {key: [values[key]] for key in _SPLITS if values.get(key)},
        [],
        None,
        labels_beside=True,
    )
    names = [line for _, line in read_lines(_find(data, path.parent, values["names"]))]
    if not names:
        raise ValueError(f"{path}: no class name in {values['names']}")
    return data._replace(names=names)


# --- its images ---------------------------------------------------------------------------------


def _images_of(data: Description, part: str) -> list[Path]:
    """The images of a folder, or of a text file that lists them."""
    path = _find(data, data.root, part)
    if path.is_file():
        return [_find(data, path.parent, line, must=False) for _, line in read_lines(path)]
    return [p for p in files_below(path) if p.suffix.lower() in image_extensions()]


def _find(data: Description, folder: Path, part: str, must: bool = True) -> Path:
    """A file or folder that the description or a list names; where tools mean it to lie.

    Args:
        data: of the dataset.
        folder: that the name should be relative to.
        part: the name.
        must: whether it is an error that there is none; else the first place is returned.
    """
    # Roboflow writes ../train/images although the folder lies beside the file; CVAT puts data/,
    # the folder that darknet expects, in front of everything.
    shorter = part.replace("\\", "/").removeprefix("../").removeprefix("data/")
    places = [(folder, part), (data.root, part), (data.path.parent, part), (folder, shorter)]
    places += [(data.root, shorter), (data.path.parent, shorter)]
    if data.labels_beside:  # darknet's own obj.data lies in data/
        places.append((data.path.parent.parent, part))
    paths = [find_file(*place) for place in places]
    path = next((path for path in paths if os.path.exists(path)), None)
    if path is None and must:
        hint = backslash_hint(part)
        raise ValueError(f"{data.path}: {part} is not there (looked for {paths[0]}){hint}")
    return path or paths[0]


# --- and its labels -----------------------------------------------------------------------------


def _label_file(image: Path, data: Description) -> Path:
    """a/images/b.jpg -> a/labels/b.txt: the last folder called images counts."""
    if data.labels_beside:
        return image.with_suffix(".txt")
    parts = list(image.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _read_labels(
    path: Path, image: dict, data: Description, problems: list[Problem]
) -> list[dict] | None:
    """The boxes of an image; None where its file of labels cannot be read."""
    boxes: list[dict] = []
    if not os.path.isfile(path):
        return boxes
    try:
        lines = read_lines(path)
    except ValueError as error:
        kind, how = "label file unreadable", "the image is left out"
        place = Place(image=image["file_name"])
        problems.append(Problem("error", kind, str(error), how, place))
        return None
    for number, line in lines:
        place = Place(f"{path.name} line {number}", image["file_name"])
        class_id, values = _numbers(line, data.key_points)
        if class_id is None or not 0 <= class_id < len(data.names):
            kind = "line that is not a class and its box"
            points = f", {data.key_points[0]} key points" if data.key_points else ""
            text = f"{line!r} ({len(data.names)} classes{points})"
            problems.append(Problem("error", kind, text, "left out", place))
            continue
        place = place._replace(category=data.names[class_id])
        if max(values) > LARGEST_SHARE:
            problems.append(Problem("warning", PIXELS, repr(line), "left out", place))
            continue
        corners = _corners(values, image)
        if box := corners_to_box(corners, image, place, problems):
            boxes.append(box)
    return boxes


def _numbers(line: str, key_points: tuple[int, int] | None) -> tuple[int | None, list[float]]:
    """Class and numbers of the box or polygon of a line; no class where there is something else."""
    try:
        class_id, *values = (float(x) for x in line.split())
    except ValueError:
        return None, []
    if key_points is not None and len(values) == 4 + key_points[0] * key_points[1]:
        values = values[:4]
    elif key_points is not None and len(values) > 4:
        return None, []
    if len(values) < 4 or len(values) % 2 or not class_id.is_integer():
        return None, []
    return int(class_id), values


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
