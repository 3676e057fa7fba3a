"""Which images there are, and which of them have labels of their own already."""

import logging
from collections.abc import Iterable
from pathlib import Path

from fcos_deploy.files import files_below
from fcos_deploy.text import read_json
from fcos_deploy.vision import named_like_image

from ..datasets.formats.content import holds
from ..datasets.formats.labelme import is_labelme
from ..datasets.formats.voc_folders import is_voc_xml
from ..datasets.formats.yolo_images import with_other_folder
from ..datasets.formats.yolo_labels import is_label_file
from ..datasets.layouts import LAYOUTS, Tree
from ..datasets.layouts.coco import KEYS
from ..datasets.layouts.tree import lies_in, sample

logger = logging.getLogger(__name__)

# Where label files lie, for images in such a folder; besides beside them.
_BESIDE = {"images": "labels", "JPEGImages": "Annotations"}
_TABLES = ("openimages", "imagefolder", "csv")


def images_below(folder: Path, output: Path) -> list[str]:
    """The names of the images at any depth in a folder, from it, sorted.

    Args:
        folder: to look in.
        output: a folder that may lie in it, and is passed over.

    Raises:
        ValueError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of images")
    files = [x for x in files_below(folder) if named_like_image(x)]
    if folder.resolve() == output.resolve():
        raise ValueError(f"{folder}: holds the images; name another --output")
    names = [x.relative_to(folder).as_posix() for x in files if not lies_in(x, output)]
    if not names:
        raise ValueError(f"{folder}: the folder holds no image")
    return names


def labelled_in(folder: Path, names: Iterable[str], output: Path) -> set[str]:
    """The images of a folder that have labels in it.

    A label file of an image counts though it is empty: someone has said that nothing is there. A
    table of many images (COCO, csv) counts for those that it has boxes for.

    Args:
        folder: of the images.
        names: of the images, from the folder.
        output: a folder that may lie in it, and is passed over.
    """
    tree = Tree(folder, without=output)
    files = set(tree.files)
    found = {name for name in names if _has_file(folder / name, files)}
    known = {(folder / name).resolve(): name for name in names}
    for path in _in_tables(tree):
        if name := known.get(path.resolve()):
            found.add(name)
    return found


def _has_file(image: Path, files: set[Path]) -> bool:
    """Whether an image has a label file of YOLO, VOC or labelme."""
    stems = [x.with_suffix("") for x in (image, with_other_folder(image, _BESIDE))]
    kinds = ((".txt", is_label_file), (".xml", is_voc_xml), (".json", is_labelme))
    candidates = [(stem.with_name(stem.name + x), judge) for stem in stems for x, judge in kinds]
    return any(path in files and judge(path) for path, judge in candidates)


def _in_tables(tree: Tree) -> list[Path]:
    """The images that files of many images have boxes for."""
    found: list[Path] = []
    for path in tree.with_suffix(".json"):
        if holds(path, KEYS):
            found += _in_coco(tree, path)
    for format, find in LAYOUTS:
        if format not in _TABLES:
            continue
        try:
            reading = find(tree)
            for files in reading.splits.values() if reading else ():
                read = files.read(format=format)
                boxes = {x["image_id"] for x in read.coco["annotations"]}
                found += [
                    Path(read.images, x["file_name"])
                    for x in read.coco["images"]
                    if x["id"] in boxes
                ]
        except ValueError as error:
            logger.warning("labels that cannot be read do not count: %s", error)
    return found


def _in_coco(tree: Tree, path: Path) -> list[Path]:
    """Without the reader: a partly labelled file is right here, and so is one that lacks images."""
    try:
        coco = read_json(path)
        if not isinstance(coco, dict):
            return []
        names = {x["id"]: str(x["file_name"]) for x in coco["images"]}
        used = {str(x["image_id"]) for x in coco["annotations"]}
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("labels that cannot be read do not count: %s (%s)", path, error)
        return []
    folder = tree.folder_of(sample([*names.values()]), path)
    if folder is None:
        return []
    return [folder / name for key, name in names.items() if str(key) in used]
