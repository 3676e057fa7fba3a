"""CVAT: its xml "CVAT for images 1.1", and the labels that a task needs before the import.

https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/ describes it.
"""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

from fcos_deploy.text import decode_text, read_bytes
from fcos_deploy.writing import write_bytes, write_text

from .write_folders import Coco, by_image, class_index, corners_of

ANNOTATIONS, LABELS = "annotations.xml", "labels.json"


def write_cvat(coco: Coco, output: Path, *, earlier: list[ET.Element]) -> Path:
    """annotations.xml, and labels.json for the raw editor of a task's labels.

    CVAT finds the images by their names; boxes of classes that the task lacks stop its import.

    Args:
        coco: images, annotations and categories.
        output: folder.
        earlier: elements of images that stand before these.
    """
    names, index = class_index(coco)
    # People may have added classes.
    known = {x.get("label", "") for image in earlier for x in image} - {*names, ""}
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    task = ET.SubElement(ET.SubElement(root, "meta"), "task")
    ET.SubElement(task, "size").text = str(len(earlier) + len(coco["images"]))
    ET.SubElement(task, "mode").text = "annotation"
    labels = ET.SubElement(task, "labels")
    all_names = [*names, *sorted(known)]
    for name in all_names:
        ET.SubElement(ET.SubElement(labels, "label"), "name").text = name
    root.extend(earlier)
    for number, (image, annotations) in enumerate(by_image(coco), start=len(earlier)):
        size = {key: str(image[key]) for key in ("width", "height")}
        named = {"id": str(number), "name": image["file_name"]}
        element = ET.SubElement(root, "image", {**named, **size})
        for annotation in annotations:
            name = names[index[annotation["category_id"]]]
            corners = (f"{x:.10g}" for x in corners_of(annotation))
            places = dict(zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True))
            flags = {"source": "auto", "occluded": "0", "z_order": "0"}
            ET.SubElement(element, "box", {"label": name, **flags, **places})
    ET.indent(root)
    output.mkdir(parents=True, exist_ok=True)
    if not (output / LABELS).exists():  # people may have changed it
        write_text(output / LABELS, json.dumps([{"name": x, "attributes": []} for x in all_names]))
    write_bytes(output / ANNOTATIONS, ET.tostring(root, encoding="utf-8", xml_declaration=True))
    return output / ANNOTATIONS


def read_cvat_images(path: Path) -> list[ET.Element]:
    """The elements of the images in an earlier file.

    Raises:
        ValueError: it holds something else.
    """
    text = decode_text(read_bytes(path), path)
    if "<!DOCTYPE" in text:  # it may hold entities that grow without end
        raise ValueError(f"{path}: not as CVAT writes it (it has a DOCTYPE)")
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError) as error:
        raise ValueError(f"{path}: not valid XML ({error}); name another --output") from None
    if root.tag != "annotations":
        raise ValueError(f"{path}: not as CVAT writes it (<{root.tag}>); name another --output")
    return root.findall("image")
