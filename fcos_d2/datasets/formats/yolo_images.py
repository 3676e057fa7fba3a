"""The images of a YOLO dataset, each with the file of its labels."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from fcos_deploy.files import files_below, last_part
from fcos_deploy.text import read_lines
from fcos_deploy.vision import named_like_image

from ..problems import Place, Problem
from .yolo_description import Description, describe, find_part
from .yolo_folder import read_folder

Item = tuple[Path, Path]  # an image and the file of its labels


def yolo_images(data_yaml: str | Path) -> tuple[dict[str, list[Path]], list[str]]:
    """The images of every split that is there, and what is passed over, with the reason.

    Raises:
        ValueError: the description cannot be read.
    """
    data = describe_any(Path(data_yaml))
    images: dict[str, list[Path]] = {}
    missing = [*data.passed_over]
    for split, entry in data.splits.items():
        try:
            items = items_of(data, entry, missing)
        except ValueError as error:
            missing.append(str(error).removeprefix(f"{data.path}: "))
            continue
        files = [image for image, _ in found_elsewhere(items, data, [])]
        if any(map(os.path.exists, files)):
            images[split] = files
        elif files:
            count, such = len(files), f"such as {files[0]}"
            missing.append(f"the {count} images of {split!r} are not there, {such}")
        else:
            missing.append(f"no image in {split!r} ({', '.join(entry)})")
    return images, missing


def describe_any(path: Path) -> Description:
    """The description of a YOLO dataset in a file, or in a folder with a list of classes."""
    return read_folder(path) if path.is_dir() else describe(path)


def items_of(data: Description, entry: list[str], passed_over: list[str]) -> list[Item]:
    """The images of folders, or of text files that list them, with the files of their labels.

    Args:
        data: the dataset.
        entry: the folders and lists of a split.
        passed_over: gets a line for the images that do not count.

    Raises:
        ValueError: no such folder or list.
    """
    items = [item for part in entry for item in _items_of(data, part)]
    if data.only_labelled:
        folders = {image.parent for image, labels in items if os.path.isfile(labels)}
        others = [image for image, _ in items if image.parent not in folders]
        if others:
            where = "with labels neither beside them nor in labels/ beside images/"
            passed_over.append(f"{len(others)} images, such as {others[0]}, {where}")
        items = [item for item in items if item[0].parent in folders]
    return items


def _items_of(data: Description, part: str) -> list[Item]:
    path = find_part(data, data.root, part)
    if path.is_file():
        return [_listed(data, path.parent, line) for _, line in read_lines(path)]
    images = [p for p in files_below(path) if named_like_image(p)]
    return [(image, _label_file(image, data)) for image in images]


def _listed(data: Description, folder: Path, line: str) -> Item:
    """Of a line in a list; an image that is not there belongs where its labels show."""
    image = find_part(data, folder, line, must=False)
    if os.path.exists(image):
        return image, _label_file(image, data)
    inside = Path(line.replace("\\", "/"))
    labels = find_part(data, folder, str(_usual_labels(inside, data)), must=False)
    if os.path.isfile(labels):
        image = labels if data.labels_beside else with_other_folder(labels, {"labels": "images"})
        image = image.with_suffix(inside.suffix)
    return image, labels


def found_elsewhere(items: list[Item], data: Description, problems: list[Problem]) -> list[Item]:
    """Of an export without images: those of the same names, wherever they were put beside it."""
    if any(os.path.exists(image) for image, _ in items):
        return items
    lists = [find_part(data, data.root, x, must=False) for xs in data.splits.values() for x in xs]
    lines = (line for path in lists if path.is_file() for _, line in read_lines(path))
    wanted = Counter(map(last_part, lines))  # in all splits: a name may be that of two images
    there: dict[str, list[Path]] = {}
    for path in files_below(data.root):
        if wanted[path.name] == 1 and os.path.exists(path):
            there.setdefault(path.name, []).append(path)
    found = {name: paths[0] for name, paths in there.items() if len(paths) == 1}
    for image, _ in items:
        if image.name in found:
            text, place = f"taken from {found[image.name]}", Place(str(data.path), image.name)
            problems.append(
                Problem("note", "image in another folder than listed", text, place=place)
            )
    return [(found.get(image.name, image), labels) for image, labels in items]


def _label_file(image: Path, data: Description) -> Path:
    """Where the labels of an image are, or should be."""
    usual, beside = _usual_labels(image, data), image.with_suffix(".txt")
    return beside if os.path.isfile(beside) and not os.path.isfile(usual) else usual


def _usual_labels(image: Path, data: Description) -> Path:
    """a/images/b.jpg -> a/labels/b.txt: the last folder called images counts."""
    if not data.labels_beside:
        image = with_other_folder(image, {"images": "labels"})
    return image.with_suffix(".txt")


def with_other_folder(image: Path, others: Mapping[str, str]) -> Path:
    """The same path, but the last folder that has another has that instead."""
    parts = list(image.parts)
    for i in range(len(parts) - 2, -1, -1):
        if other := others.get(parts[i]):
            parts[i] = other
            break
    return Path(*parts)
