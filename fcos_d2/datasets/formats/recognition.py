"""Which format a file or folder has."""

from pathlib import Path

from fcos_deploy.files import files_below, is_hidden
from fcos_deploy.vision import image_extensions

from .content import holds
from .image_folder import METADATA
from .labelme import is_labelme
from .open_images import COLUMNS, has_columns
from .voc_folders import is_xml, voc_years
from .yolo_description import CLASSES, has_labels_of

_BY_SUFFIX = {
    ".json": "coco",
    ".yaml": "yolo",
    ".yml": "yolo",
    ".data": "yolo",  # darknet's
    ".csv": "csv",
    ".txt": "txt",
    ".jsonl": "imagefolder",
    ".parquet": "imagefolder",
}
# Beside a CSV of boxes; the second is Roboflow's.
CLASS_FILES = ("classes.csv", "_classes.csv", "class_list.csv")


def recognise(path: Path) -> str:
    """The format of a file or folder.

    Raises:
        ValueError: none that is known.
    """
    if path.is_dir():
        return _recognise_folder(path)
    format = _BY_SUFFIX.get(path.suffix.lower())
    if format is None:
        kinds = "|".join(dict.fromkeys(_BY_SUFFIX.values()))
        raise ValueError(f"{path}: no known format; name it with --data-format {kinds}")
    return "openimages" if format == "csv" and has_columns(path, COLUMNS) else format


def _recognise_folder(path: Path) -> str:
    inside = sorted(p for p in path.iterdir() if not is_hidden(p.name))
    if (path / "Annotations").is_dir() or any(map(is_xml, inside)) or voc_years(path):
        return "voc"
    if file_of_yolo(path) != path:
        return "yolo"
    if file_of_table(path) != path:
        return "imagefolder"
    below = files_below(path)
    jsons = [p for p in below if p.suffix.lower() == ".json"]
    if any(map(is_labelme, jsons)):
        return "labelme"
    if any(is_xml(p) and holds(p, [b"<annotation"]) for p in below):
        return "voc"
    subfolders = [p for p in inside if p.is_dir()]
    holding = [p for p in subfolders if any(map(_is_image, p.iterdir()))]
    if len(holding) > 1 and len(holding) == len(subfolders):
        raise ValueError(
            f"{path} is a folder of images per class, which is a format for classification, not "
            "detection: it has no boxes"
        )
    hint = f"; did you mean {jsons[0]}?" if jsons else ""
    raise ValueError(f"{path}: no annotations of a known format in it{hint}")


def file_of_yolo(path: Path) -> Path:
    """The file that describes the YOLO dataset in a folder; the path as it is without one."""
    names = ("data.yaml", "dataset.yaml", "obj.data")
    described = next((path / name for name in names if (path / name).is_file()), None)
    if described is None and has_labels_of(path / CLASSES):
        return path / CLASSES
    return described or path


def file_of_table(path: Path) -> Path:
    """The table of the ImageFolder in a folder; the path as it is without one."""
    return next((path / name for name in METADATA if (path / name).is_file()), path)


def class_file(path: Path) -> Path | None:
    """The file of class names that keras-retinanet has beside a CSV of boxes."""
    if path.suffix.lower() != ".csv" or path.name in CLASS_FILES:
        return None
    return next((x for x in map(path.with_name, CLASS_FILES) if x.is_file()), None)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in image_extensions() and not is_hidden(path.name)
