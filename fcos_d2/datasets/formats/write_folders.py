"""VOC and YOLO: folders with a file for each image, and links to the images."""

import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import yaml

from .trees import Tree, written_whole

Coco = dict[str, list[dict]]
VOC_LIST, YOLO_LIST = "ImageSets/Main/all.txt", "train.txt"


def by_image(coco: Coco) -> list[tuple[dict, list[dict]]]:
    """Each image with its annotations."""
    boxes: dict[int, list[dict]] = {image["id"]: [] for image in coco["images"]}
    for annotation in coco["annotations"]:
        boxes[annotation["image_id"]].append(annotation)
    return [(image, boxes[image["id"]]) for image in coco["images"]]


def class_index(coco: Coco) -> tuple[list[str], dict[int, int]]:
    """Names in the order of the category ids, and category id -> index."""
    categories = sorted(coco["categories"], key=lambda x: x["id"])
    return [x["name"] for x in categories], {x["id"]: i for i, x in enumerate(categories)}


def corners_of(annotation: dict) -> list[float]:
    """xyxy, px."""
    x, y, width, height = annotation["bbox"]
    return [x, y, x + width, y + height]


def write_voc(coco: Coco, images: Path, output: Path, earlier: Sequence[str] = ()) -> Path:
    """Annotations, ImageSets/Main/all.txt and JPEGImages, a link; see `write_dataset`.

    Args:
        coco, images, output: as there.
        earlier: lines that the list has before these.
    """
    names, index = class_index(coco)
    taken: dict[str, str] = {}  # xml -> image
    with written_whole(output, last=VOC_LIST) as tree:
        for image, annotations in by_image(coco):
            name = f"{without_ending(image['file_name'])}.xml"
            path = _own_file(tree, "Annotations", name, taken, image["file_name"])
            root = _xml_of(image, [(names[index[a["category_id"]]], a) for a in annotations])
            ET.ElementTree(root).write(path, encoding="utf-8")
        # Names with spaces stand in quotes, as CVAT writes them.
        stems = map(without_ending, taken)
        lines = [f'"{stem}"' if " " in stem and '"' not in stem else stem for stem in stems]
        tree.write(VOC_LIST, _lines_of(earlier, lines))
        tree.link("JPEGImages", images.resolve())
    return output


def _xml_of(image: dict, objects: list[tuple[str, dict]]) -> ET.Element:
    """Of an image and its annotations, each with the name of its class."""
    root = ET.Element("annotation")
    ET.SubElement(root, "filename").text = image["file_name"]
    _fields(ET.SubElement(root, "size"), width=image["width"], height=image["height"], depth=3)
    for name, annotation in objects:
        item = ET.SubElement(root, "object")
        flags = {key: annotation.get(key, 0) for key in ("truncated", "difficult")}
        _fields(item, name=name, pose="Unspecified", **flags)
        x1, y1, x2, y2 = corners_of(annotation)
        # Corners of VOC count from 1 and lie inside the box.
        _fields(ET.SubElement(item, "bndbox"), xmin=x1 + 1, ymin=y1 + 1, xmax=x2, ymax=y2)
    return root


def without_ending(name: str) -> str:
    """The name of an image, as its file of labels is called."""
    return os.path.splitext(name)[0]


def _lines_of(earlier: Sequence[str], lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in dict.fromkeys([*earlier, *lines]))


def _own_file(tree: Tree, folder: str, name: str, taken: dict[str, str], image: str) -> Path:
    """A new file for an image.

    Raises:
        ValueError: another image has this file, or it would lie elsewhere.
    """
    if name in taken:
        raise ValueError(
            f"{image} and {taken[name]} would share {name}: files go by the name of their image"
        )
    taken[name] = image
    return tree.file(folder, name)


def _fields(element: ET.Element, **texts: object) -> None:
    for key, value in texts.items():
        ET.SubElement(element, key).text = (
            f"{value:.10g}" if isinstance(value, float) else str(value)
        )


def write_yolo(coco: Coco, images: Path, output: Path, earlier: Sequence[str] = ()) -> Path:
    """data.yaml, train.txt, labels and images, which are links; see `write_voc`."""
    names, index = class_index(coco)
    files = {image["id"]: yolo_name(image["file_name"]) for image in coco["images"]}
    taken: dict[str, str] = {}
    with written_whole(output, last="data.yaml") as tree:
        for image, annotations in by_image(coco):
            name = f"{without_ending(files[image['id']])}.txt"
            path = _own_file(tree, "labels", name, taken, image["file_name"])
            lines = [_yolo_line(index[a["category_id"]], a["bbox"], image) for a in annotations]
            path.write_text("".join(lines), encoding="utf-8")
        if all(files[image["id"]] == image["file_name"] for image in coco["images"]):
            tree.link("images", images.resolve())
        else:
            for image in coco["images"]:
                target = (images / image["file_name"]).resolve()
                tree.link(f"images/{files[image['id']]}", target)
        listed = [f"./images/{file}" for file in files.values()]
        tree.write(YOLO_LIST, _lines_of(earlier, listed))
        data = {"path": ".", "train": YOLO_LIST, "names": dict(enumerate(names))}
        tree.write("data.yaml", yaml.safe_dump(data, sort_keys=False))
    return output / "data.yaml"


def _yolo_line(class_id: int, box: list[float], image: dict) -> str:
    """Class, centre and size of a box xywh in px, as shares of the image."""
    x, y, width, height = box
    sides = image["width"], image["height"]
    centre = (x + width / 2) / sides[0], (y + height / 2) / sides[1]
    numbers = (*centre, width / sides[0], height / sides[1])
    return f"{class_id} {' '.join(f'{number:.6f}' for number in numbers)}\n"


def yolo_name(name: str) -> str:
    """Where an image goes below images/: readers look for labels/ beside the last images/."""
    *folders, file = name.split("/")
    return "/".join([*("images_" if x == "images" else x for x in folders), file])
