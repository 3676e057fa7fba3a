"""COCO dicts written in other formats. Images are not copied; YOLO gets links to them."""

import csv
import json
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import yaml

from fcos_deploy.confine import path_inside
from fcos_deploy.text import shown
from fcos_deploy.writing import write_text

from .lines import split_name

Coco = dict[str, list[dict]]
# Control characters, and bytes of file names that are not UTF-8.
_UNHELD = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def write_dataset(coco: Coco, images: str | Path, output: str | Path, format: str) -> Path:
    """Writes a dataset.

    Args:
        coco: images, annotations and categories.
        images: folder that its file names are relative to.
        output: the file (coco, csv, txt) or folder (voc, yolo) to write.
        format: "coco", "voc", "yolo", "csv" or "txt".

    Returns:
        What `read_dataset` takes: the file, the folder, or YOLO's data.yaml. CSV and txt get their
        class names in classes.csv or classes.txt beside them.

    Raises:
        ValueError: unknown format, or names that the format cannot hold.
    """
    writers = {"coco": _coco, "voc": _voc, "yolo": _yolo, "csv": _csv, "txt": _txt}
    if format not in writers:
        raise ValueError(f"format must be one of {tuple(writers)}, got {format!r}")
    if format != "coco":
        _check_names([x["file_name"] for x in coco["images"]], format)
        _check_names([x["name"] for x in coco["categories"]], format)
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    return writers[format](coco, Path(images), output)


def _check_names(names: list[str], format: str) -> None:
    """Raises ValueError for what no text file holds, or what does not come back from one."""
    for name in names:
        if _UNHELD.search(name) or name != name.strip() or not name:
            raise ValueError(
                f"{shown(repr(name))}: {format} cannot hold this name; rename it, or write coco"
            )


def _by_image(coco: Coco) -> list[tuple[dict, list[dict]]]:
    boxes: dict[int, list[dict]] = {image["id"]: [] for image in coco["images"]}
    for annotation in coco["annotations"]:
        boxes[annotation["image_id"]].append(annotation)
    return [(image, boxes[image["id"]]) for image in coco["images"]]


def _classes(coco: Coco) -> tuple[list[str], dict[int, int]]:
    """Names in the order of the category ids, and category id -> index."""
    categories = sorted(coco["categories"], key=lambda x: x["id"])
    return [x["name"] for x in categories], {x["id"]: i for i, x in enumerate(categories)}


def _corners(annotation: dict) -> list[float]:
    x, y, width, height = annotation["bbox"]
    return [x, y, x + width, y + height]


def _coco(coco: Coco, images: Path, output: Path) -> Path:
    write_text(output, json.dumps(coco))
    return output


def _voc(coco: Coco, images: Path, output: Path) -> Path:
    names, index = _classes(coco)
    (output / "Annotations").mkdir(parents=True, exist_ok=True)
    (output / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}  # xml -> image
    for image, annotations in _by_image(coco):
        name = f"{_without_ending(image['file_name'])}.xml"
        path = _own_path(output / "Annotations", name, files, image["file_name"])
        root = ET.Element("annotation")
        ET.SubElement(root, "filename").text = image["file_name"]
        _fields(ET.SubElement(root, "size"), width=image["width"], height=image["height"], depth=3)
        for annotation in annotations:
            item = ET.SubElement(root, "object")
            flags = {key: annotation.get(key, 0) for key in ("truncated", "difficult")}
            label = names[index[annotation["category_id"]]]
            _fields(item, name=label, pose="Unspecified", **flags)
            x1, y1, x2, y2 = _corners(annotation)
            # Corners of VOC count from 1 and lie inside the box.
            _fields(ET.SubElement(item, "bndbox"), xmin=x1 + 1, ymin=y1 + 1, xmax=x2, ymax=y2)
        ET.ElementTree(root).write(path, encoding="utf-8")
    # Names with spaces stand in quotes, as CVAT writes them.
    stems = map(_without_ending, files)
    lines = [f'"{stem}"' if " " in stem and '"' not in stem else stem for stem in stems]
    path = output / "ImageSets" / "Main" / "all.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    _link(images, output / "JPEGImages")
    return output


def _without_ending(name: str) -> str:
    return os.path.splitext(name)[0]


def _own_path(folder: Path, name: str, taken: dict[str, str], image: str) -> Path:
    """A new file for an image, and the folder that it lies in.

    Raises:
        ValueError: another image has this file, or it would lie elsewhere.
    """
    if name in taken:
        raise ValueError(
            f"{image} and {taken[name]} would share {name}: files go by the name of their image"
        )
    taken[name] = image
    path = path_inside(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _fields(element: ET.Element, **texts: object) -> None:
    for key, value in texts.items():
        ET.SubElement(element, key).text = (
            f"{value:.10g}" if isinstance(value, float) else str(value)
        )


def _yolo(coco: Coco, images: Path, output: Path) -> Path:
    names, index = _classes(coco)
    files = {image["id"]: _yolo_name(image["file_name"]) for image in coco["images"]}
    taken: dict[str, str] = {}
    for image, annotations in _by_image(coco):
        lines = []
        for annotation in annotations:
            x, y, width, height = annotation["bbox"]
            sides = image["width"], image["height"]
            numbers = (x + width / 2) / sides[0], (y + height / 2) / sides[1]
            numbers += width / sides[0], height / sides[1]
            text = " ".join(f"{number:.6f}" for number in numbers)
            lines.append(f"{index[annotation['category_id']]} {text}\n")
        name = f"{_without_ending(files[image['id']])}.txt"
        path = _own_path(output / "labels", name, taken, image["file_name"])
        path.write_text("".join(lines), encoding="utf-8")
    if all(files[image["id"]] == image["file_name"] for image in coco["images"]):
        _link(images, output / "images")
    else:
        for image in coco["images"]:
            file = path_inside(output, f"images/{files[image['id']]}")
            _link(images / image["file_name"], file)
    listed = [f"./images/{file}" for file in files.values()]
    (output / "train.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    data = {"path": ".", "train": "train.txt", "names": dict(enumerate(names))}
    (output / "data.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return output / "data.yaml"


def _yolo_name(name: str) -> str:
    """Where an image goes below images/: readers look for labels/ beside the last images/."""
    *folders, file = name.split("/")
    return "/".join([*("images_" if x == "images" else x for x in folders), file])


def _link(images: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        os.symlink(images.resolve(), link, target_is_directory=True)


def _csv(coco: Coco, images: Path, output: Path) -> Path:
    names, index = _classes(coco)
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for image, annotations in _by_image(coco):
            for annotation in annotations:
                corners = [f"{x:.10g}" for x in _corners(annotation)]
                name = names[index[annotation["category_id"]]]
                writer.writerow([image["file_name"], *corners, name])
            if not annotations:
                writer.writerow([image["file_name"], *[""] * 5])
    with (output.parent / "classes.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([name, i] for i, name in enumerate(names))
    return output


def _txt(coco: Coco, images: Path, output: Path) -> Path:
    names, index = _classes(coco)
    lines = []
    for image, annotations in _by_image(coco):
        boxes = [
            ",".join([*(f"{x:.10g}" for x in _corners(a)), str(index[a["category_id"]])])
            for a in annotations
        ]
        lines.append(" ".join([image["file_name"], *boxes]))
        if split_name(lines[-1]) != (image["file_name"], boxes):
            raise ValueError(
                f"{image['file_name']}: txt cannot hold this name; it looks like a box"
            )
    output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (output.parent / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return output
