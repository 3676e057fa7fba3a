"""Open Images: a CSV of boxes in shares of the image, and one of the names of the classes."""

from pathlib import Path

from fcos_deploy.files import files_below
from fcos_deploy.vision import named_like_image

from ..problems import Place, Problem
from .records import (
    Coco,
    Record,
    corners_to_box,
    image_record,
    iterate_csv_rows,
    read_csv_rows,
    records_to_coco,
)

COLUMNS = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax")
_DESCRIPTIONS = ("class-descriptions*.csv", "*/class-descriptions*.csv", "metadata/classes.csv")


def has_columns(path: Path, columns: tuple[str, ...]) -> bool:
    """Whether the first line of a CSV names these columns, in any order."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            words = {word.strip().strip('"') for word in file.readline(2000).split(",")}
    except OSError:
        return False
    return {*columns} <= words


def read_open_images(
    path: str | Path, images: str | Path, classes: str | Path | None = None
) -> tuple[Coco, list[Problem]]:
    """The boxes of a file as COCO; `IsGroupOf` makes a crowd. Images without a row are not read.

    Args:
        path: such as validation-annotations-bbox.csv. It is about the whole set, of which people
            fetch a part: rows of images that are not there are passed over, with a note.
        images: folder of the images, which are called after their ImageID; or of folders of them,
            as OIDv4's toolkit has one for each class.
        classes: CSV of LabelName and name; None: class-descriptions*.csv beside it or above it,
            else the LabelNames are the names.

    Raises:
        ValueError: a file is missing or has other columns, or no image of it is there.
    """
    path, images = Path(path), Path(images)
    rows = iterate_csv_rows(path)
    _, head = next(rows, (1, []))
    missing = [column for column in COLUMNS if column not in head]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]!r}; Open Images has {', '.join(COLUMNS)}")
    names = _names(path, classes)
    files = _images_by_id(images)
    there: dict[str, list[tuple[int, dict[str, str]]]] = {}
    gone: dict[str, None] = {}  # millions, where a part of the training set was fetched
    for number, values in rows:
        row = dict(zip(head, values, strict=False))
        image_id = row.get("ImageID", "")
        if image_id in files:
            there.setdefault(image_id, []).append((number, row))
        else:
            gone[image_id] = None
    such = f", such as {next(iter(gone))}," if gone else ""
    if not there:
        raise ValueError(
            f"{path}: none of its {len(gone)} images{such} is in {images}; name their folder with "
            "--train-data FILE --train-images DIR"
        )
    problems: list[Problem] = []
    records: list[Record] = []
    if gone:
        text = f"{len(gone)} of {len(gone) + len(there)} images{such.removesuffix(',')}"
        kind = "rows of images that are not there"
        problems.append(Problem("note", kind, text, "passed over", Place(path.name)))
    for image_id, entries in there.items():
        source = f"{path.name} line {entries[0][0]}"
        if image := image_record(files[image_id], images, source, problems):
            boxes = [_box(row, n, image, path, names, problems) for n, row in entries]
            records.append((image, [box for box in boxes if box]))
    used = sorted({box["name"] for _, boxes in records for box in boxes})
    return records_to_coco(records, used, problems), problems


def _names(path: Path, classes: str | Path | None) -> dict[str, str]:
    """LabelName -> name."""
    folders = (path.parent, path.parent.parent)
    there = (file for x in folders for pattern in _DESCRIPTIONS for file in sorted(x.glob(pattern)))
    file = Path(classes) if classes else next(there, None)
    if file is None:
        return {}
    return {row[0]: row[1] for _, row in read_csv_rows(file) if len(row) == 2}


def _images_by_id(folder: Path) -> dict[str, Path]:
    """The images in a folder and in those in it; of several with one name the topmost."""
    files = filter(named_like_image, files_below(folder))
    return {path.stem: path for path in sorted(files, key=lambda path: -len(path.parts))}


def _box(
    row: dict[str, str],
    number: int,
    image: dict,
    path: Path,
    names: dict[str, str],
    problems: list[Problem],
) -> dict | None:
    label = row.get("LabelName", "")
    place = Place(
        f"{path.name} line {number}", image["file_name"], category=names.get(label, label)
    )
    try:
        x1, y1, x2, y2 = (float(row.get(x, "")) for x in ("XMin", "YMin", "XMax", "YMax"))
    except ValueError:
        kind = "box that is not four numbers"
        problems.append(Problem("error", kind, str(row)[:80], "left out", place))
        return None
    width, height = image["width"], image["height"]
    corners = [x1 * width, y1 * height, x2 * width, y2 * height]
    box = corners_to_box(corners, image, place, problems)
    return {**box, "iscrowd": int(row.get("IsGroupOf") == "1")} if box else None
