"""PASCAL VOC: a folder with Annotations, JPEGImages and ImageSets, or xml files anywhere.

Libraries that read VOC stop at the first bad file, or pass over what is wrong in silence
(docs/data.md), so ours does the reading.
"""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

from fcos_deploy.image import image_extensions

from ..problems import Problem
from .records import Coco, Record, corners_to_box, image_record, records_to_coco


def read_voc(
    root: str | Path,
    split: str | None = None,
    images: str | Path | None = None,
    classes: list[str] | None = None,
) -> tuple[Coco, list[Problem]]:
    """A VOC folder as COCO.

    Corners count from 1 and lie inside the box, so a box is [xmin - 1, ymin - 1, xmax, ymax] in
    pixels from 0. Boxes of `<part>` do not count. `difficult` and `truncated` are kept as fields of
    the annotations.

    Args:
        root: with Annotations and JPEGImages, as VOC2007; or a folder of xml files, whose images
            lie beside them or in `images`.
        split: name of a list in ImageSets/Main; None takes every xml file.
        images: folder of the images.
        classes: their names, in the order of the ids; None takes those that occur, by name.

    Raises:
        ValueError: no such folder, list or any xml file.
    """
    root = Path(root)
    folder = root / "Annotations" if (root / "Annotations").is_dir() else root
    if images is None:
        images = root / "JPEGImages" if (root / "JPEGImages").is_dir() else folder
    if not folder.is_dir():
        raise ValueError(f"{root}: no such folder")
    stems = _stems(root, folder, split)
    if not stems:
        raise ValueError(f"{folder}: no xml file in it")
    problems: list[Problem] = []
    found: list[Record] = []
    for stem in stems:
        if record := _read_image(folder / f"{stem}.xml", Path(images), problems):
            found.append(record)
    names = classes or sorted({box["name"] for _, boxes in found for box in boxes})
    return records_to_coco(found, names, problems), problems


def _stems(root: Path, folder: Path, split: str | None) -> list[str]:
    if split is None:
        return sorted(path.stem for path in folder.glob("*.xml"))
    path = root / "ImageSets" / "Main" / f"{split}.txt"
    if not path.is_file():
        lists = sorted(p.stem for p in path.parent.glob("*.txt")) if path.parent.is_dir() else []
        raise ValueError(f"{path}: no such list; there are {', '.join(lists) or 'none'}")
    lines = path.read_text(encoding="utf-8").split("\n")
    return [line.split()[0] for line in lines if line.strip()]


def _read_image(path: Path, images: Path, problems: list[Problem]) -> Record | None:
    """The record of an image and its boxes; None for one that cannot be used."""
    if not path.is_file():
        problems.append(Problem("error", "annotation file missing", str(path), "left out"))
        return None
    try:
        tree = ET.parse(path).getroot()
    except (ET.ParseError, UnicodeDecodeError) as error:
        text = f"{path}: {error}"
        problems.append(Problem("error", "annotation file is not well-formed", text, "left out"))
        return None
    file = _find_image(path.stem, (tree.findtext("filename") or "").strip(), images)
    if file is None:
        text = f"{path}: {path.stem}.* in {images}"
        problems.append(Problem("error", "image file missing", text, "left out"))
        return None
    image = image_record(file, images, str(path), problems)
    if image is None:
        return None
    true = image["height"], image["width"]
    stated = tuple(_number(tree.findtext(f"size/{side}")) for side in ("height", "width"))
    if all(stated) and stated != true:
        text = f"{path}: {stated} stated, {true} found"
        kind = "image of another size than stated"
        problems.append(Problem("warning", kind, text, "taken from the file"))
    boxes = [_read_box(item, path, image, problems) for item in tree.findall("object")]
    return image, [box for box in boxes if box]


def _find_image(stem: str, stated: str, images: Path) -> Path | None:
    """The image of an xml file: it has its name; what `<filename>` says is often out of date."""
    for extension in (".jpg", ".png", ".jpeg", ".JPG", *sorted(image_extensions())):
        if (path := images / f"{stem}{extension}").is_file():
            return path
    path = images / Path(stated).name
    return path if stated and path.is_file() else None


def _number(text: str | None) -> float | None:
    try:
        value = float((text or "").strip())
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _read_box(item: ET.Element, path: Path, image: dict, problems: list[Problem]) -> dict | None:
    """One object as an annotation without ids; None for one that cannot be used."""
    name = (item.findtext("name") or "").strip()
    where = f"{path.name}: {name or 'object without name'}"
    # Direct children only: an object's <part> has a <bndbox> of its own.
    corners = [_number(item.findtext(f"bndbox/{c}")) for c in ("xmin", "ymin", "xmax", "ymax")]
    if not name or None in corners:
        kind = "object without name or with a box that is not four numbers"
        problems.append(Problem("error", kind, f"{where} {corners}", "left out"))
        return None
    xmin, ymin, xmax, ymax = corners
    if xmax <= xmin or ymax <= ymin:
        text = f"{where} {[xmin, ymin, xmax, ymax]}"
        problems.append(Problem("warning", "box without area", text, "left out"))
        return None
    box = corners_to_box([xmin - 1, ymin - 1, xmax, ymax], image, name, path.name, problems)
    flags = {
        flag: int(value == 1)
        for flag in ("difficult", "truncated", "occluded")
        if (value := _number(item.findtext(flag))) is not None
    }
    return {**box, **flags} if box else None
