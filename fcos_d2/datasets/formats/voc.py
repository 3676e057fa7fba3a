"""PASCAL VOC: a folder with Annotations, JPEGImages and ImageSets, or xml files anywhere.

Libraries that read VOC stop at the first bad file, or pass over what is wrong in silence
(docs/data.md), so ours does the reading.
"""

import codecs
import math
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

from fcos_deploy.files import last_part
from fcos_deploy.text import decode_text, read_bytes
from fcos_deploy.vision import image_extensions

from ..problems import Place, Problem
from .records import (
    Coco,
    Record,
    box_problem,
    corners_to_box,
    enclosing_corners,
    image_record,
    read_names,
    records_to_coco,
    turn_corners,
)
from .voc_folders import annotations_of, voc_images, voc_stems, voc_years, xml_file, years_with

NO_OBJECT = "object without name or with a box that is not four numbers"
AROUND = "the upright box around it is taken"  # what is done about a turned box


def read_voc(
    root: str | Path,
    split: str | None = None,
    images: str | Path | None = None,
    classes: str | Path | None = None,
) -> tuple[Coco, list[Problem]]:
    """A VOC folder as COCO.

    Corners count from 1 and lie inside the box, so a box is [xmin - 1, ymin - 1, xmax, ymax] in
    pixels from 0: where xmin is xmax it is a pixel wide, but one pixel alone is left out as a slip
    of the mouse. Boxes of `<part>` do not count. Of turned boxes (roLabelImg's `<robndbox>`, CVAT's
    attribute "rotation") the upright box around them is taken. `difficult` and `truncated` are kept
    as fields of the annotations.

    Args:
        root: with Annotations and JPEGImages, as VOC2007, or with the same folders in both, as
            CVAT writes it; or a folder of xml files, or of folders of them, whose images lie beside
            them or in `images`; or a VOCdevkit with the folders of several years, read as one.
        split: name of a list in ImageSets/Main, or, if it is not there, in ImageSets,
            ImageSets/Layout or the root; None takes every xml file.
        images: folder of the images.
        classes: file of their names, in the order of the ids; None takes those that occur, by name.

    Raises:
        ValueError: no such folder, list or any xml file; or xml of another format.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder")
    years = voc_years(root)
    folder = Path(images or voc_images(root))  # that the file names are relative to
    problems: list[Problem] = []
    found: list[Record] = []
    known: dict[str, Path] = {}
    for year in years_with(years or [root], split):
        annotations, place = annotations_of(year), voc_images(year) if years else folder
        for stem in voc_stems(year, split):
            path = xml_file(annotations, stem)
            record = _read_image(path, stem, place, folder, problems)
            if record is None:
                continue
            name = record[0]["file_name"]
            if name in known:
                kind = "image with two annotation files"
                text = f"the other is {known[name]}"
                problems.append(Problem("error", kind, text, "left out", Place(str(path), name)))
                continue
            known[name] = path
            found.append(record)
    used = {box["name"] for _, boxes in found for box in boxes}
    names = read_names(classes, used) if classes else sorted(used)
    return records_to_coco(found, names, problems), problems


def _read_image(
    path: Path, stem: str, images: Path, folder: Path, problems: list[Problem]
) -> Record | None:
    """The record of an image and its boxes; None for one that cannot be used.

    Args:
        path, stem: of the xml file.
        images: where the image lies.
        folder: that its name is relative to.
        problems: gets what is wrong.
    """
    if not os.path.isfile(path):
        kind = "annotation file missing"
        problems.append(Problem("error", kind, "", "left out", Place(str(path))))
        return None
    try:
        tree = _parse(path)
    except ET.ParseError as error:
        kind = "annotation file is not well-formed"
        problems.append(Problem("error", kind, str(error), "left out", Place(str(path))))
        return None
    except ValueError as error:
        problems.append(Problem("error", "annotation file unreadable", str(error), "left out"))
        return None
    _refuse_cvat(path, tree)
    if tree.tag != "annotation" and tree.find("object") is None:
        kind = "xml file of something else"
        problems.append(Problem("note", kind, f"<{tree.tag}>", "left out", Place(str(path))))
        return None
    file = _find_image(stem, (tree.findtext("filename") or "").strip(), images)
    if file is None:
        text = f"{stem}.* in {images}"
        problems.append(Problem("error", "image file missing", text, "left out", Place(str(path))))
        return None
    image = image_record(file, folder, str(path), problems)
    if image is None:
        return None
    true = image["height"], image["width"]
    stated = tuple(_number(tree.findtext(f"size/{side}")) for side in ("height", "width"))
    if all(stated) and stated != true:
        kind, text = "image of another size than stated", f"{stated} stated, {true} found"
        place = Place(str(path), image["file_name"])
        problems.append(Problem("warning", kind, text, "taken from the file", place))
    boxes = [_read_box(item, path, image, problems) for item in tree.findall("object")]
    return image, [box for box in boxes if box]


def _parse(path: Path) -> ET.Element:
    """The root of an xml file in any encoding that Python knows; expat knows five.

    Raises:
        ET.ParseError: not well-formed.
        ValueError: other bytes than its encoding has, or an unknown one; names file and cure.
    """
    content = read_bytes(path)
    declared = re.match(rb"""\s*<\?xml[^>]*?\bencoding\s*=\s*["']([^"'>]*)""", content)
    encoding = declared[1].decode("ascii", "replace") if declared else "utf-8"
    if content.startswith((b"<\0", b"\0<")):  # without a mark, but nothing else begins like this
        encoding = "utf-16-le" if content.startswith(b"<\0") else "utf-16-be"
    elif encoding.lower().startswith(("utf-16", "ucs-2", "utf-32", "ucs-4")):
        encoding = "utf-8"  # the declaration itself could not be read if it were true
    try:
        codecs.lookup(encoding)
    except (LookupError, ValueError):
        raise ValueError(
            f"{path}: the encoding {encoding!r} is not known; save the file as UTF-8"
        ) from None
    try:
        return ET.fromstring(decode_text(content, path, encoding))
    except LookupError:  # Python has codecs of other things than text
        raise ValueError(f"{path}: {encoding!r} is no encoding; save the file as UTF-8") from None


def _refuse_cvat(path: Path, tree: ET.Element) -> None:
    """Raises ValueError: the xml of another format."""
    format = "CVAT for images 1.1" if tree.tag == "annotations" else "LabelMe 3.0"
    if tree.tag == "annotations" or tree.find("imagesize") is not None:
        raise ValueError(
            f"{path}: this is CVAT's format {format!r}, which is not read; export the task as "
            "'COCO 1.0', 'PASCAL VOC 1.1' or 'Ultralytics YOLO Detection 1.0'"
        )


def _find_image(stem: str, stated: str, images: Path) -> Path | None:
    """The image of an xml file: it has its name; what `<filename>` says is often out of date.

    It lies in the same folder as the xml file, counted from `images`, or in `images` itself.
    """
    for folder in dict.fromkeys(((images / stem).parent, images)):
        for extension in (".jpg", ".png", ".jpeg", ".JPG", *sorted(image_extensions())):
            if (path := folder / f"{Path(stem).name}{extension}").is_file():
                return path
        path = folder / last_part(stated)
        if stated and os.path.isfile(path):
            return path
    return None


def _number(text: str | None) -> float | None:
    try:
        value = float((text or "").strip())
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _read_box(item: ET.Element, path: Path, image: dict, problems: list[Problem]) -> dict | None:
    """One object as an annotation without ids; None for one that cannot be used."""
    name = (item.findtext("name") or "").strip()
    place = Place(path.name, image["file_name"], category=name)
    corners = _read_corners(item, place, problems)
    if corners is None:
        return None
    if not name:
        text = f"object without name {corners}"
        problems.append(Problem("error", NO_OBJECT, text, "left out", place.with_corners(corners)))
        return None
    box = corners_to_box(corners, image, place, problems)
    flags = {
        flag: int(value == 1)
        for flag in ("difficult", "truncated", "occluded")
        if (value := _number(item.findtext(flag))) is not None
    }
    return {**box, **flags} if box else None


def _read_corners(item: ET.Element, place: Place, problems: list[Problem]) -> list[float] | None:
    """Of an object, in px from 0; None where there is no usable box."""
    # Direct children only: an object's <part> has a <bndbox> of its own. One name at a time,
    # because ElementTree searches paths slowly.
    box, turned_box = item.find("bndbox"), item.find("robndbox")
    if box is None and turned_box is not None:
        return _read_robndbox(turned_box, place, problems)
    texts = [None if box is None else box.findtext(x) for x in ("xmin", "ymin", "xmax", "ymax")]
    numbers = [_number(text) for text in texts]
    corners = [number for number in numbers if number is not None]
    if len(corners) < 4:
        problems.append(Problem("error", NO_OBJECT, str(numbers), "left out", place))
        return None
    place = place.with_corners(corners)
    xmin, ymin, xmax, ymax = turn_corners(corners, place, problems)
    if xmax == xmin and ymax == ymin:
        problems.append(box_problem("box without area", corners, "left out", place))
        return None
    corners = [xmin - 1, ymin - 1, xmax, ymax]
    degrees = _rotation(item)
    if degrees % 180 == 0:
        return corners
    text = f"{corners}, turned by {degrees:g} degrees"
    problems.append(Problem("warning", "turned box", text, AROUND, place))
    centre = (xmin - 1 + xmax) / 2, (ymin - 1 + ymax) / 2
    sides = xmax - xmin + 1, ymax - ymin + 1
    return enclosing_corners(*centre, *sides, math.radians(degrees))


def _rotation(item: ET.Element) -> float:
    """CVAT's attribute, in degrees: its box is the one before turning, and turns on its centre."""
    attributes = item.find("attributes")
    for attribute in () if attributes is None else attributes.iterfind("attribute"):
        if attribute.findtext("name") == "rotation":
            return _number(attribute.findtext("value")) or 0.0
    return 0.0


def _read_robndbox(box: ET.Element, place: Place, problems: list[Problem]) -> list[float] | None:
    """The upright box around roLabelImg's, whose angle is in radians."""
    numbers = [_number(box.findtext(key)) for key in ("cx", "cy", "w", "h", "angle")]
    values = [number for number in numbers if number is not None]
    if len(values) < 5 or abs(values[4]) > 2 * math.pi:
        kind = "turned box (robndbox) that is not cx, cy, w, h and an angle in radians"
        problems.append(Problem("error", kind, str(numbers), "left out", place))
        return None
    corners = enclosing_corners(*values)
    place = place.with_corners(corners)
    problems.append(Problem("warning", "turned box (robndbox)", str(values), AROUND, place))
    return corners
