"""YOLO labels whose classes stand in a plain list: of LabelImg, Label Studio and darknet."""

import os
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from fcos_deploy.files import files_below, is_hidden
from fcos_deploy.text import read_lines
from fcos_deploy.vision import named_like_image

from ..split_words import split_called
from .yolo_description import Description
from .yolo_labels import has_boxes

CLASS_FILES = ("classes.txt", "_darknet.labels", "obj.names", "classes.names")
_DEPTH = 2  # of a list in labels/train/


def is_yolo_folder(folder: Path, files: list[Path] | None = None) -> bool:
    """Whether a list of classes is there, and labels beside images, or in labels/ and images/.

    Args:
        folder: to look in.
        files: all in it, where they are known.
    """
    if not _class_files(folder):
        return False
    files = files_below(folder) if files is None else files
    images = [x for x in files if named_like_image(x)]
    texts = [x for x in files if _is_text(x)]
    if any(_is_in("labels", x, folder) for x in texts):
        return any(_is_in("images", x, folder) for x in images)
    stems = {x.with_suffix("") for x in images}
    return any(has_boxes(x) for x in texts if x.with_suffix("") in stems)


def labels_among(files: list[Path], folder: Path) -> Iterator[Path]:
    """The files of a folder that hold boxes, of images anywhere in it or in a folder labels."""
    stems = {x.stem for x in files if named_like_image(x)}
    texts = (x for x in files if _is_text(x) and (x.stem in stems or _is_in("labels", x, folder)))
    return filter(has_boxes, texts)


def folder_of_list(path: Path, top: Path) -> Path:
    """The folder of the dataset that a list of classes belongs to: `top`, or one in it."""
    folder = path.parent
    while folder != top and _is_part(folder.name):
        folder = folder.parent
    return folder


def read_folder(folder: Path) -> Description:
    """As `describe`, of a folder with a list of classes beside its labels or above them.

    Raises:
        ValueError: no such list, or several that differ; no images of the labels; several folders
            for a split.
    """
    path, names = _read_names(folder)
    files = files_below(folder)
    if not is_yolo_folder(folder, files):
        raise ValueError(_why_not(folder))
    # Labels that lie beside their images leave it open what the other folders hold.
    apart = any((folder / name).is_dir() for name in ("images", "labels"))
    found = [x.relative_to(folder) for x in files if named_like_image(x)]
    outside = [x for x in found if apart and x.parts[0] != "images"]
    splits: dict[str, list[Path]] = {}
    others: list[Path] = []
    for image in (x for x in found if not apart or x.parts[0] == "images"):
        part = next((x for x in image.parents if split_called(x.name)), None)
        if part is None:
            others.append(image)
        elif part not in (parts := splits.setdefault(split_called(part.name) or "", [])):
            parts.append(part)
    _refuse_several(folder, splits)
    if splits and others and "train" not in splits:
        raise ValueError(
            f"{folder}: {len(others)} images, such as {others[0]}, are in no folder of a split, "
            f"beside {' and '.join(splits)}; move them, with their labels, into a folder train"
        )
    named = {split: [part.as_posix() for part in parts] for split, parts in splits.items()}
    return Description(
        path,
        folder,
        named or {"train": ["images" if apart else "."]},
        names,
        passed_over=(
            *(_such(others, "in no folder of a split") if splits else ()),
            *_such(outside, "outside of images/"),
        ),
        only_labelled=not apart,
    )


def _such(images: list[Path], where: str) -> tuple[str, ...]:
    return (f"images {where}: {len(images)}, such as {images[0]}",) if images else ()


def _read_names(folder: Path) -> tuple[Path, list[str]]:
    """The longest list of classes, of which the others are the beginning."""
    lists = {path: [line for _, line in read_lines(path)] for path in _class_files(folder)}
    if not lists:
        raise ValueError(_why_not(folder))
    path, names = max(lists.items(), key=lambda item: len(item[1]))
    for other, given in lists.items():
        if not given:
            raise ValueError(f"{other}: no class name in it")
        if given != names[: len(given)]:
            raise ValueError(
                f"{other}: its classes differ from those in {path}, so one number means two "
                "classes; make the two files agree"
            )
    return path, names


def _why_not(folder: Path) -> str:
    """What a folder lacks to be one of YOLO, with the cure."""
    labels = next(labels_among(files_below(folder), folder), None)
    if labels is None:
        return f"{folder}: no data.yaml, obj.data or classes.txt of YOLO labels in it"
    parts = labels.parent.relative_to(folder).parts
    above = [*takewhile(lambda name: not _is_part(name), parts)]
    place = folder.joinpath(*above) if len(above) < len(parts) else folder
    if not _class_files(place):
        return (
            f"{labels.parent}: holds YOLO labels, but no file says the names of the classes: put a "
            f"classes.txt into {place}, a name in each line, in the order of their numbers"
        )
    return (
        f"{labels.parent}: holds YOLO labels, but the images are not where they belong: put them "
        f"into {place / 'images'}, the labels into {place / 'labels'}"
    )


def _refuse_several(folder: Path, splits: dict[str, list[Path]]) -> None:
    """Raises ValueError for a part of train_1 and train_2, or in another part."""
    every = [part for parts in splits.values() for part in parts]
    for split, parts in splits.items():
        others = [x for x in parts if x.name != parts[0].name]
        others += [x for x in every if x in parts[0].parents]
        if others:
            raise ValueError(
                f"{folder}: which images belong to {split}, those in {parts[0]} or those in "
                f"{others[0]}? List the folders in a data.yaml, under train and val"
            )


def _class_files(folder: Path, depth: int = _DEPTH) -> list[Path]:
    """Lists of classes in a folder, and in those in it that are parts of a YOLO dataset."""
    if not folder.is_dir():
        return []
    found = [folder / name for name in CLASS_FILES if (folder / name).is_file()]
    if depth:
        with os.scandir(folder) as inside:  # of very many files, few folders
            parts = sorted(x.name for x in inside if x.is_dir() and _is_part(x.name))
        found += [path for name in parts for path in _class_files(folder / name, depth - 1)]
    return found


def _is_part(name: str) -> bool:
    is_it = name in ("images", "labels") or split_called(name) is not None
    return is_it and not is_hidden(name)


def _is_text(path: Path) -> bool:
    return path.suffix.lower() == ".txt" and path.name not in CLASS_FILES


def _is_in(name: str, path: Path, folder: Path) -> bool:
    return name in path.relative_to(folder).parts[:-1]
