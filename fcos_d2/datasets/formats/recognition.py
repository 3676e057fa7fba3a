"""Which format a file or folder has."""

import re
from pathlib import Path

from fcos_deploy.files import ARCHIVES, files_below, is_hidden
from fcos_deploy.vision import named_like_image

from ..split_words import split_called
from .image_folder import IMAGES_INSIDE, METADATA
from .labelme import is_labelme
from .open_images import COLUMNS, has_columns
from .voc_folders import is_voc_xml, is_xml, voc_years
from .yolo_description import DESCRIPTIONS
from .yolo_folder import is_yolo_folder, labels_among

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
_CSV = "not read: it needs the columns filename,xmin,ymin,xmax,ymax,class, and its images here"
# What is not read: how its name ends, what the beginning of the file holds, and what to do; of
# several the first.
_UNREAD: tuple[tuple[str | tuple[str, ...], bytes, str], ...] = (
    (
        ".json",
        rb'"result"|"rectanglelabels"',
        "Label Studio's own: export COCO or YOLO with images instead",
    ),
    (".json", rb'"_via_|"shape_attributes"', "VIA's own: export COCO instead"),
    (".json", rb'"classTitle"', "Supervisely's own: export COCO instead"),
    (".json", rb'"categories"\s*:\s*{', "Datumaro's own: export COCO instead"),
    (".json", rb'"coordinates"\s*:\s*{', "CreateML's: export COCO instead"),
    (".json", rb'"samples"\s*:', "FiftyOne's own: export COCODetectionDataset instead"),
    ("_annotations.txt", rb"", "a list of boxes: give it with --train-data and --classes"),
    (".txt", rb"\A\d+( [\d.]+){4}", "YOLO's: it needs its images, and the classes in data.yaml"),
    (".csv", rb"", _CSV),
    (".parquet", rb"", IMAGES_INSIDE),
    ((".tfrecord", ".record"), rb"", "TensorFlow's: export COCO, YOLO or Pascal VOC instead"),
    (ARCHIVES, rb"", "an archive: unpack it"),
    (".json", rb"", "not COCO json, which has lists of images, annotations and categories"),
    (".xml", rb"", "not Pascal VOC xml, which has one file for each image"),
)
_HEAD = 4000  # bytes


def recognise(path: Path) -> str:
    """The format of a file or folder.

    Raises:
        ValueError: none that is known.
    """
    if path.is_dir():
        return _recognise_folder(path)
    format = _BY_SUFFIX.get(path.suffix.lower())
    if path.name.lower().endswith(ARCHIVES):
        raise ValueError(f"{path} is an archive: unpack it, and give the folder")
    if format is None:
        kinds = "|".join(dict.fromkeys(_BY_SUFFIX.values()))
        raise ValueError(f"{path}: no known format; name it with --data-format {kinds}")
    return "openimages" if format == "csv" and has_columns(path, COLUMNS) else format


def _recognise_folder(path: Path) -> str:
    if (path / "Annotations").is_dir() or any(map(is_xml, path.iterdir())) or voc_years(path):
        return "voc"
    if file_of_yolo(path):
        return "yolo"
    if file_of_table(path) != path:
        return "imagefolder"
    below = files_below(path)
    jsons = [p for p in below if p.suffix.lower() == ".json"]
    if any(map(is_labelme, jsons)):
        return "labelme"
    if any(map(is_voc_xml, below)):
        return "voc"
    if any(labels_among(below, path)):  # the reader says that the names of the classes are missing
        return "yolo"
    raise ValueError(nothing_known(path))


def nothing_known(path: Path) -> str:
    """Why a folder is no dataset, and what to do about it."""
    subfolders = [x for x in path.iterdir() if x.is_dir() and not is_hidden(x.name)]
    are_splits = all(split_called(x.name) for x in subfolders)
    if len(subfolders) > 1 and not are_splits and all(map(_holds_only_images, subfolders)):
        return (
            f"{path} is a folder of images per class, which is a format for classification, not "
            "detection: it has no boxes"
        )
    files = [x for x in files_below(path) if x.name not in CLASS_FILES]
    there = ((x, what) for ending, words, what in _UNREAD for x in files if _is(x, ending, words))
    file, what = next(there, (None, ""))
    hint = f"; {file.relative_to(path).as_posix()} is {what}" if file else ""
    return f"{path}: no annotations of a known format in it{hint}"


def _is(path: Path, ending: str | tuple[str, ...], words: bytes) -> bool:
    if not path.name.lower().endswith(ending):
        return False
    try:
        with open(path, "rb") as file:
            return re.search(words, file.read(_HEAD)) is not None
    except OSError:
        return False


def _holds_only_images(folder: Path) -> bool:
    inside = [x for x in folder.iterdir() if not is_hidden(x.name)]
    return bool(inside) and all(map(named_like_image, inside))


def file_of_yolo(path: Path) -> Path | None:
    """What describes the YOLO dataset in a folder: a file, or the folder with a list of classes."""
    return described_in(path) or (path if is_yolo_folder(path) else None)


def described_in(path: Path) -> Path | None:
    """The file that describes the YOLO dataset in a folder, by its usual names."""
    return next((path / name for name in DESCRIPTIONS if (path / name).is_file()), None)


def file_of_table(path: Path) -> Path:
    """The table of the ImageFolder in a folder; the path as it is without one."""
    return next((path / name for name in METADATA if (path / name).is_file()), path)


def class_file(path: Path) -> Path | None:
    """The file of class names that keras-retinanet has beside a CSV of boxes."""
    if path.suffix.lower() != ".csv" or path.name in CLASS_FILES:
        return None
    return next((x for x in map(path.with_name, CLASS_FILES) if x.is_file()), None)
