"""COCO dicts written in other formats. Images are not copied; YOLO gets links to them."""

import csv
import io
import json
import logging
import re
from pathlib import Path

from fcos_deploy.text import shown
from fcos_deploy.writing import write_text

from ...choices import check_choice
from .lines import split_name
from .write_folders import by_image, class_index, corners_of, write_voc, write_yolo

Coco = dict[str, list[dict]]
logger = logging.getLogger(__name__)
WRITTEN = ("coco", "voc", "yolo", "csv", "txt")

# Control characters, and bytes of file names that are not UTF-8.
_UNHELD = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def write_dataset(coco: Coco, images: str | Path, output: str | Path, format: str) -> Path:
    """Writes a dataset.

    Args:
        coco: images, annotations and categories.
        images: folder that its file names are relative to.
        output: the file (coco, csv, txt) or folder (voc, yolo) to write.
        format: "coco", "voc", "yolo", "csv" or "txt".

    Only COCO knows crowd regions: the other formats do without them, and a warning counts them. A
    kill or a full disk leaves what was there before.

    Returns:
        What `read_dataset` takes: the file, the folder, or YOLO's data.yaml. CSV and txt get their
        class names in classes.csv or classes.txt beside them.

    Raises:
        ValueError: unknown format, or names that the format cannot hold.
    """
    writers = {"coco": _coco, "voc": write_voc, "yolo": write_yolo, "csv": _csv, "txt": _txt}
    check_choice("format", format, writers)
    if format != "coco":
        check_names([x["file_name"] for x in coco["images"]], format)
        check_names([x["name"] for x in coco["categories"]], format)
        coco = _without_crowds(coco, format)
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    return writers[format](coco, Path(images), output)


def _without_crowds(coco: Coco, format: str) -> Coco:
    """Without what a format could only hold as boxes of single objects."""
    kept = [annotation for annotation in coco["annotations"] if not annotation.get("iscrowd")]
    if left_out := len(coco["annotations"]) - len(kept):
        logger.warning(
            "%d crowd regions are left out, because %s would hold them as single objects; coco "
            "keeps them",
            left_out,
            format,
        )
    return {**coco, "annotations": kept}


def can_hold(name: str) -> bool:
    """Whether a text file holds a name, and gives it back; json holds any."""
    return not _UNHELD.search(name) and name == name.strip() and bool(name)


def check_names(names: list[str], format: str) -> None:
    """Raises ValueError for what no text file holds, or what does not come back from one."""
    for name in names:
        if not can_hold(name):
            raise ValueError(
                f"{shown(repr(name))}: {format} cannot hold this name; rename it, or write coco"
            )


def _coco(coco: Coco, images: Path, output: Path) -> Path:
    write_text(output, json.dumps(coco))
    return output


def _csv(coco: Coco, images: Path, output: Path) -> Path:
    names, index = class_index(coco)
    rows = []
    for image, annotations in by_image(coco):
        for annotation in annotations:
            corners = [f"{x:.10g}" for x in corners_of(annotation)]
            rows.append([image["file_name"], *corners, names[index[annotation["category_id"]]]])
        if not annotations:
            rows.append([image["file_name"], *[""] * 5])
    # The file of the boxes comes last: without it there is no dataset.
    _write_rows(output.parent / "classes.csv", [[name, i] for i, name in enumerate(names)])
    _write_rows(output, rows)
    return output


def _write_rows(path: Path, rows: list[list]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_text(path, text.getvalue())


def _txt(coco: Coco, images: Path, output: Path) -> Path:
    names, index = class_index(coco)
    lines = []
    for image, annotations in by_image(coco):
        boxes = [
            ",".join([*(f"{x:.10g}" for x in corners_of(a)), str(index[a["category_id"]])])
            for a in annotations
        ]
        lines.append(" ".join([image["file_name"], *boxes]))
        if split_name(lines[-1]) != (image["file_name"], boxes):
            raise ValueError(
                f"{image['file_name']}: txt cannot hold this name; it looks like a box"
            )
    write_text(output.parent / "classes.txt", "\n".join(names) + "\n")
    write_text(output, "\n".join(lines) + "\n")
    return output
