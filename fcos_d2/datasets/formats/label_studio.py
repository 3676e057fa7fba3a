"""Label Studio: tasks with boxes that a detector found, as its import takes them, and the config.

https://labelstud.io/guide/predictions describes both.
"""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from urllib.parse import quote

from fcos_deploy.text import read_json
from fcos_deploy.writing import write_text

from .write_folders import Coco, by_image, class_index

TASKS, CONFIG = "tasks.json", "config.xml"
FROM, TO, DATA = "label", "image", "image"  # names of control, object and field of the data


def write_label_studio(
    coco: Coco, output: Path, *, image_url: str, model_version: str, earlier: list[dict]
) -> Path:
    """tasks.json to import, and config.xml, the labelling interface that its boxes belong to.

    Args:
        coco: images, annotations with scores, and categories.
        output: folder.
        image_url: what stands before the file names, such as "/data/local-files/?d=photos/".
        model_version: which detector made the boxes; a project shows one version at a time.
        earlier: tasks that stand before these.
    """
    names, index = class_index(coco)
    tasks = [*earlier]
    for image, annotations in by_image(coco):
        regions = [
            _region(number, annotation, names[index[annotation["category_id"]]], image)
            for number, annotation in enumerate(annotations)
        ]
        prediction = {"model_version": model_version, "result": regions}
        if regions:  # tasks can be sorted by it
            prediction["score"] = sum(x["score"] for x in regions) / len(regions)
        name = image["file_name"]
        data = {DATA: image_url + quote(name), "file_name": name}
        tasks.append({"data": data, "predictions": [prediction]})
    output.mkdir(parents=True, exist_ok=True)
    if not (output / CONFIG).exists():  # people may have changed it
        write_text(output / CONFIG, _config(names))
    write_text(output / TASKS, json.dumps(tasks))
    return output / TASKS


def read_tasks(path: Path) -> list[dict]:
    """The tasks of an earlier file.

    Raises:
        ValueError: it holds something else.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list) or not all(isinstance(x, dict) for x in tasks):
        raise ValueError(f"{path}: not a list of tasks of Label Studio; name another --output")
    return tasks


def _region(number: int, annotation: dict, name: str, image: dict) -> dict:
    """A box in percent of the image."""
    x, y, width, height = annotation["bbox"]
    across, down = 100 / image["width"], 100 / image["height"]
    return {
        "id": f"box{number}",
        "type": "rectanglelabels",
        "from_name": FROM,
        "to_name": TO,
        "original_width": image["width"],
        "original_height": image["height"],
        "image_rotation": 0,
        "score": annotation["score"],
        "value": {
            "x": x * across,
            "y": y * down,
            "width": width * across,
            "height": height * down,
            "rotation": 0,
            "rectanglelabels": [name],
        },
    }


def _config(names: list[str]) -> str:
    view = ET.Element("View")
    ET.SubElement(view, "Image", name=TO, value=f"${DATA}")
    labels = ET.SubElement(view, "RectangleLabels", name=FROM, toName=TO)
    for name in names:
        ET.SubElement(labels, "Label", value=name)
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"
