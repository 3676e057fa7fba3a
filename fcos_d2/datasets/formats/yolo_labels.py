"""Labels of YOLO: which files hold them, and what is wrong with them as a whole."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from fcos_deploy.files import is_hidden
from fcos_deploy.text import read_lines
from fcos_deploy.vision import named_like_image

from ..problems import Place, Problem

PIXELS = "labels that look like pixels"
LARGEST_SHARE = 2  # what is larger is no share of an image, not even of a box half outside
_NUMBER = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?")
_OF_PHONES = (".heic", ".heif")
_PREFIX = re.compile("[0-9a-f]{8}-")  # what Label Studio puts before the names of images


def is_label_file(path: Path) -> bool:
    """Whether a txt holds nothing but lines of numbers: it may also be a caption."""
    return _rows(path) is not None


def has_boxes(path: Path) -> bool:
    """Whether a txt is a label file with a box in it."""
    return bool(_rows(path))


def _rows(path: Path) -> list[list[str]] | None:
    """The numbers of each line; None where something else is there."""
    try:
        rows = [line.split() for _, line in read_lines(path)]
    except ValueError:
        return None
    are_labels = all(len(row) >= 5 and all(map(_NUMBER.fullmatch, row)) for row in rows)
    return rows if are_labels else None


def judge_labels(
    items: list[tuple[Path, Path]], problems: list[Problem], source: str
) -> list[Problem]:
    """The problems, with an error where no image has labels, or most boxes are in pixels.

    Args:
        items: each image, with the file that its labels are looked for in.
        problems: of reading them; those of the kind `PIXELS` become one, or boxes outside.
        source: what the messages call the dataset.
    """
    label_files = [labels for _, labels in items]
    alone = _without_image(items)
    problems = [*problems, *alone]
    if not any(map(os.path.isfile, label_files)):
        text = f"for none of its {len(label_files)} images; looked for {label_files[0]}"
        if any(_PREFIX.match(Path(problem.place.file).name) for problem in alone):
            text += "; export from Label Studio as 'YOLO with Images', whose names fit the labels"
        return [*problems, Problem("error", "no label file", text, place=Place(source))]
    pixels = [p for p in problems if p.kind == PIXELS]
    if not pixels:
        return problems
    there = [path for path in label_files if os.path.isfile(path)]
    lines = sum(1 for path in there for line in path.read_bytes().splitlines() if line.strip())
    others = [p for p in problems if p.kind != PIXELS]
    if len(pixels) < 0.5 * lines:
        return [*others, *(p._replace(kind="box outside the image") for p in pixels)]
    share = f"{len(pixels)} of {lines} boxes are outside the image"
    cure = "pixels? YOLO's numbers are shares: divide them by width and height of the image"
    text = f"{share}, such as {pixels[0].where}; {cure}"
    return [*others, Problem("error", PIXELS, text, "left out", Place(source))]


def _without_image(items: list[tuple[Path, Path]]) -> list[Problem]:
    """Label files in the folders of the others whose image is not there, or cannot be read."""
    known = {labels for _, labels in items}
    folders: dict[Path, set[Path]] = {}
    for image, labels in items:
        folders.setdefault(labels.parent, set()).add(image.parent)
    problems = []
    for folder, with_images in sorted(folders.items()):
        files = [path for images in with_images for path in _files_in(images)]
        images = {path.stem for path in files if named_like_image(path)}
        of_phones = {path.stem: path.name for path in files if path.suffix.lower() in _OF_PHONES}
        for path in sorted(_files_in(folder)):
            is_known = path in known or path.stem in images
            if path.suffix.lower() == ".txt" and not is_known and has_boxes(path):
                text = f"no image of this name in {min(with_images)}"
                if path.stem in of_phones:
                    text = f"{of_phones[path.stem]} cannot be read: convert it to jpg"
                place = Place(str(path))
                problems.append(Problem("warning", "labels without image", text, "left out", place))
    return problems


def _files_in(folder: Path) -> list[Path]:
    return [x for x in folder.iterdir() if not is_hidden(x.name)] if folder.is_dir() else []


def judge_key_points(label_files: Iterable[Path], source: str) -> list[Problem]:
    """An error where all lines look like poses: else these would be read as polygons.

    Args:
        label_files: of a dataset without kpt_shape.
        source: what the message calls the dataset.
    """
    counts, flags = set[int](), set[float]()
    for path in filter(os.path.isfile, label_files):
        try:
            for _, line in read_lines(path):
                numbers = [float(x) for x in line.split()[5:]]
                counts.add(len(numbers))
                flags |= {*numbers[2::3]}
        except ValueError:
            return []
        if len(counts) > 1 or counts & {0} or not flags <= {0, 1, 2}:
            return []
    count = max(counts, default=0)
    if count % 3 or 2 not in flags:  # no share of an image is 2
        return []
    cure = f"if these are key points, write kpt_shape: [{count // 3}, 3] into data.yaml"
    text = f"after the box, each line has {count // 3} points, each with 0, 1 or 2; {cure}"
    return [Problem("error", "labels that look like key points", text, place=Place(source))]
