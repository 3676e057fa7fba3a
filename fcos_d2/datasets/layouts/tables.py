"""Folders with a table of boxes: CSV, that of Open Images, and the one of an ImageFolder."""

from pathlib import Path

from fcos_deploy.files import find_file

from ..formats.image_folder import METADATA, file_names, folder_in
from ..formats.lines import csv_rows, is_csv_of_boxes
from ..formats.open_images import COLUMNS, has_columns
from ..formats.recognition import CLASS_FILES, class_file
from ..formats.records import iterate_csv_rows
from ..own_data import DataFiles
from .tree import Reading, Tree, refuse_several, sample, without_ending


def find_csv(tree: Tree) -> Reading | None:
    """CSV files of boxes: those beside a classes.csv, and those that name images of the folder.

    Raises:
        ValueError: several for one split.
    """
    names, lines = {}, []
    for path in tree.with_suffix(".csv"):
        if class_file(path) or (path.name not in CLASS_FILES and is_csv_of_boxes(path)):
            found = [*dict.fromkeys(row[0] for _, row in csv_rows(path) if len(row) == 6)]
            if not found:
                lines.append(f"{tree.relative(path)} has no row of a box; it is passed over")
            elif class_file(path) or tree.folder_of(sample(found), path):
                names[path] = found
    return _of_tables(tree, "csv", "CSV of boxes", names, lines)


def find_open_images(tree: Tree) -> Reading | None:
    """Open Images' CSV, by split; the names of the images stand in it without their ending.

    Images of which there are only rows do not count.

    Raises:
        ValueError: several for one split.
    """
    stems: dict[Path, list[str]] = {}
    for path in tree.with_suffix(".csv"):
        if has_columns(path, COLUMNS):
            rows = iterate_csv_rows(path)
            column = next(rows)[1].index("ImageID")
            stems[path] = [*dict.fromkeys(row[column] for _, row in rows if len(row) > column)]
    there = {path: x for path, x in stems.items() if tree.folder_of_stems(x, path)} or stems
    lines = [
        f"none of the images of {tree.relative(path)} is here; it is passed over"
        for path in stems
        if path not in there
    ]
    return _of_tables(tree, "openimages", "Open Images", there, lines, by_stem=True)


def find_image_folder(tree: Tree) -> Reading | None:
    """metadata.jsonl or metadata.parquet beside the images, by split; or one above the splits.

    Raises:
        ValueError: several for one split, or one that cannot be read.
    """
    # Of both in one folder the jsonl.
    files = [*{path.parent: path for path in tree.named(*reversed(METADATA))}.values()]
    if not files:
        return None
    splits, images = {}, {}
    for split, path in _by_split(tree, files, "metadata files").items():
        names = file_names(path)
        folders = _folders_of_splits(tree, path, names) if len(files) == 1 else {}
        for part, folder in (folders or {split: ""}).items():
            splits[part] = DataFiles(f"{path}:{folder}" if folder else str(path))
            of_it = (name for name in names if not folder or folder_in(name) == folder)
            images[part] = without_ending(find_file(path.parent, name) for name in of_it)
    return Reading("imagefolder", "Hugging Face's ImageFolder", splits, images, [])


def _folders_of_splits(tree: Tree, path: Path, names: list[str]) -> dict[str, str]:
    """The folders that the names in a table begin with, by split; none where no two do.

    Raises:
        ValueError: other names, too.
    """
    folders = {folder_in(name) for name in names}
    splits = {tree.split_of(path.parent / folder): folder for folder in folders if folder}
    known = {split: folder for split, folder in splits.items() if split}
    if len(known) > 1 and (others := folders.difference(known.values())):
        other = next(name for name in names if folder_in(name) in others)
        raise ValueError(
            f"{path}: names of images begin with {' and '.join(known.values())}, but not {other}; "
            "move that image into one of them, or leave its row out"
        )
    return known if len(known) > 1 else {}


def _of_tables(
    tree: Tree,
    format: str,
    layout: str,
    names: dict[Path, list[str]],
    lines: list[str],
    by_stem: bool = False,
) -> Reading | None:
    if not names:
        return None
    splits, images = {}, {}
    for split, path in _by_split(tree, [*names], "CSV files of boxes").items():
        if by_stem:
            folder, paths = _images_of_stems(tree, path, names[path])
        else:
            folder = tree.folder_of(sample(names[path]), path) or path.parent
            paths = [folder / name for name in names[path]]
        splits[split] = DataFiles(str(path), str(folder))
        images[split] = without_ending(paths)
    return Reading(format, layout, splits, images, lines)


def _images_of_stems(tree: Tree, path: Path, stems: list[str]) -> tuple[Path, list[Path]]:
    """The folder of a table's images, and those that are there.

    It is the one above where its neighbours have images of the table, too: OIDv4's toolkit has a
    folder for each class.
    """
    folder, wanted = tree.folder_of_stems(stems, path) or path.parent, {*stems}
    below = [x for x in tree.images_below(folder) if x.stem in wanted]
    around = [x for x in tree.images_below(folder.parent) if x.stem in wanted]
    more = {x.stem for x in around} > {x.stem for x in below}
    return (folder.parent, around) if more and folder != tree.root else (folder, below)


def _by_split(tree: Tree, files: list[Path], kind: str) -> dict[str, Path]:
    """The file of each split; one alone, of whatever name, is to be learned."""
    by_split: dict[str, list[Path]] = {}
    for path in files:
        by_split.setdefault(tree.split_of(path) or "train", []).append(path)
    for paths in by_split.values():
        if len(paths) > 1:
            refuse_several(tree, paths, kind)
    return {split: paths[0] for split, paths in by_split.items()}
