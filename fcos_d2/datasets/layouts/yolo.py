"""Folders of YOLO: with data.yaml, obj.data, or labels and a list of classes."""

from pathlib import Path

from ..formats.yolo_description import DESCRIPTIONS, describe, find_part
from ..formats.yolo_folder import CLASS_FILES, folder_of_list, is_yolo_folder
from ..formats.yolo_images import yolo_images
from ..own_data import DataFiles
from .tree import Reading, Tree, lies_in, refuse_several, without_ending


def find_yolo(tree: Tree) -> Reading | None:
    """The file or folder that describes a YOLO dataset, and those of its splits that are there.

    Raises:
        ValueError: several such files, or one that cannot be read.
    """
    file = _description(tree)
    if file is None:
        return None
    images, missing = yolo_images(file)
    shown = tree.relative(file) if file != tree.root else file.name
    lines = [f"{shown}: {line}; passed over" for line in missing]
    if not images:
        cure = "put the images there, or correct their paths"
        raise ValueError(f"{file}: no image of any split in it; {'; '.join(missing)}; {cure}")
    folders = dict.fromkeys(x.parent for files in images.values() for x in files)
    outside = next((folder for folder in folders if not lies_in(folder, tree.root)), None)
    if outside:
        lines.append(f"{shown} leads out of the folder, to {outside}")
    splits = {split: DataFiles(f"{file}:{split}") for split in images}
    names = {split: without_ending(files) for split, files in images.items()}
    return Reading("yolo", _layout(file), splits, names, lines)


def _description(tree: Tree) -> Path | None:
    for name in DESCRIPTIONS:
        files = tree.named(name)
        if name == "dataset.yaml" and not files:  # of any other name, such as coco128.yaml
            files = [path for path in tree.with_suffix(".yaml", ".yml") if _describes(path)]
        if len(files) > 1:
            refuse_several(tree, files, "YOLO datasets")
        if files:
            return files[0]
    folders = {folder_of_list(path, tree.root) for path in tree.named(*CLASS_FILES)}
    known = {tree.root: tree.files}
    found = [folder for folder in sorted(folders) if is_yolo_folder(folder, known.get(folder))]
    if len(found) > 1:
        refuse_several(tree, found, "YOLO datasets")
    return found[0] if found else None


def _describes(path: Path) -> bool:
    """Whether a yaml file of any name names classes, and folders or lists that are there."""
    try:
        data = describe(path)
    except ValueError:
        return False
    parts = (part for entry in data.splits.values() for part in entry)
    return any(find_part(data, data.root, part, must=False).exists() for part in parts)


def _layout(file: Path) -> str:
    if file.suffix == ".data":
        return "YOLO 1.1, as CVAT writes it"
    if file.is_dir():
        return "YOLO labels with a list of classes (LabelImg, Label Studio)"
    return "YOLO (Ultralytics, Roboflow)"
