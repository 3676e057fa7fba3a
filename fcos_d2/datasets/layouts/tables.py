"""Folders with a table of boxes: CSV of keras-retinanet and Open Images, and an ImageFolder's."""

from pathlib import Path

from ..formats.image_folder import METADATA
from ..formats.open_images import COLUMNS, has_columns
from ..formats.recognition import class_file
from ..formats.records import read_csv_rows
from ..own_data import DataFiles
from .tree import Reading, Tree, refuse_several, sample, without_ending


def find_csv(tree: Tree) -> Reading | None:
    """keras-retinanet's CSV with a classes.csv beside it, by split.

    Raises:
        ValueError: several for one split.
    """
    files = [path for path in tree.with_suffix(".csv") if class_file(path)]
    names = {path: [row[0] for _, row in read_csv_rows(path) if len(row) == 6] for path in files}
    rows = {path: found for path, found in names.items() if found}
    return _of_tables(tree, "csv", "keras-retinanet's CSV", rows)


def find_open_images(tree: Tree) -> Reading | None:
    """Open Images' CSV, by split; the names of the images stand in it without their ending.

    Raises:
        ValueError: several for one split.
    """
    stems: dict[Path, list[str]] = {}
    for path in tree.with_suffix(".csv"):
        if has_columns(path, COLUMNS):
            (_, head), *rows = read_csv_rows(path)
            column = head.index("ImageID")
            stems[path] = [*dict.fromkeys(row[column] for _, row in rows if len(row) > column)]
    return _of_tables(tree, "openimages", "Open Images", stems, by_stem=True)


def find_image_folder(tree: Tree) -> Reading | None:
    """metadata.jsonl or metadata.parquet beside the images, by split.

    Raises:
        ValueError: several for one split.
    """
    files = tree.named(METADATA[0]) or tree.named(METADATA[1])
    if not files:
        return None
    by_split = _by_split(tree, files, "metadata files")
    splits = {split: DataFiles(str(path)) for split, path in by_split.items()}
    images = {
        split: without_ending(tree.images_below(path.parent)) for split, path in by_split.items()
    }
    return Reading("imagefolder", "Hugging Face's ImageFolder", splits, images, [])


def _of_tables(
    tree: Tree, format: str, layout: str, names: dict[Path, list[str]], by_stem: bool = False
) -> Reading | None:
    if not names:
        return None
    splits, images = {}, {}
    for split, path in _by_split(tree, [*names], "CSV files of boxes").items():
        find = tree.folder_of_stems if by_stem else tree.folder_of
        folder = find(sample(names[path]), path) or path.parent
        splits[split] = DataFiles(str(path), str(folder))
        paths = (folder / (f"{name}.jpg" if by_stem else name) for name in names[path])
        images[split] = without_ending(paths)
    return Reading(format, layout, splits, images, [])


def _by_split(tree: Tree, files: list[Path], kind: str) -> dict[str, Path]:
    """The file of each split; one alone, of whatever name, is to be learned."""
    by_split: dict[str, list[Path]] = {}
    for path in files:
        by_split.setdefault(tree.split_of(path) or "train", []).append(path)
    for paths in by_split.values():
        if len(paths) > 1:
            refuse_several(tree, paths, kind)
    return {split: paths[0] for split, paths in by_split.items()}
