"""Folders of YOLO: data.yaml of Ultralytics and Roboflow, obj.data of CVAT, Label Studio's."""

from pathlib import Path

from ..formats.yolo import yolo_images
from ..formats.yolo_description import CLASSES, has_labels_of
from ..own_data import DataFiles
from .tree import Reading, Tree, lies_in, refuse_several, without_ending

_USUAL = ("data.yaml", "dataset.yaml", "obj.data", CLASSES)


def find_yolo(tree: Tree) -> Reading | None:
    """The file that describes a YOLO dataset, and those of its splits that are there.

    Raises:
        ValueError: several such files, or one that cannot be read.
    """
    file = _description(tree)
    if file is None:
        return None
    images, missing = yolo_images(file)
    lines = [f"{tree.relative(file)}: {line}; passed over" for line in missing]
    if not images:
        raise ValueError(f"{file}: no image of any split in it; {'; '.join(missing)}")
    outside = next(
        (x for files in images.values() for x in files if not lies_in(x, tree.root)), None
    )
    if outside:
        lines.append(f"{tree.relative(file)} leads out of the folder, to {outside.parent}")
    # A classes.txt alone could be that of lines of boxes.
    data = file.parent if file.name == CLASSES else file
    splits = {split: DataFiles(f"{data}:{split}") for split in images}
    names = {split: without_ending(files) for split, files in images.items()}
    return Reading("yolo", _layout(file), splits, names, lines)


def _description(tree: Tree) -> Path | None:
    for name in _USUAL:
        files = [x for x in tree.named(name) if name != CLASSES or has_labels_of(x)]
        if name == "dataset.yaml" and not files:  # of any other name, such as coco128.yaml
            files = [path for path in tree.with_suffix(".yaml", ".yml") if _describes(path)]
        if len(files) > 1:
            refuse_several(tree, files, "YOLO datasets")
        if files:
            return files[0]
    return None


def _describes(path: Path) -> bool:
    """Whether a yaml file of any name names classes and images that are there."""
    try:
        return bool(yolo_images(path)[0])
    except ValueError:
        return False


def _layout(file: Path) -> str:
    if file.suffix == ".data":
        return "YOLO 1.1, as CVAT writes it"
    if file.name == CLASSES:
        return "YOLO as Label Studio writes it"
    return "YOLO (Ultralytics, Roboflow)"
