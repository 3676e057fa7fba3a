"""The steps that readers of formats other than COCO share."""

from pathlib import Path

from fcos_deploy.image import ImageError, image_size

from ..problems import Problem

Coco = dict[str, list[dict]]
# An image with file_name, height and width, and its boxes with name and bbox.
Record = tuple[dict, list[dict]]


def records_to_coco(records: list[Record], names: list[str], problems: list[Problem]) -> Coco:
    """COCO dicts with ids from 1; boxes of classes that are not in `names` are left out.

    Args:
        records: as `Record`; the dicts in them are changed in place.
        names: of the classes, in the order of their ids.
        problems: gets what is left out.
    """
    category_ids = {name: i for i, name in enumerate(names, start=1)}
    annotations = []
    for image_id, (image, boxes) in enumerate(records, start=1):
        image["id"] = image_id
        for box in boxes:
            name = box.pop("name")
            if name not in category_ids:
                text = f"{image['file_name']}: {name!r}; classes are {', '.join(names)}"
                problems.append(Problem("error", "unknown category", text, "left out"))
                continue
            ids = {"id": len(annotations) + 1, "image_id": image_id, "iscrowd": 0}
            annotations.append({**ids, "category_id": category_ids[name], **box})
    categories = [{"id": i, "name": name} for name, i in category_ids.items()]
    return {"images": [x for x, _ in records], "annotations": annotations, "categories": categories}


def image_record(file: Path, folder: Path, where: str, problems: list[Problem]) -> dict | None:
    """file_name below `folder`, height and width of an image; None for one that cannot be used."""
    if not file.is_file():
        text = f"{where}: {file}"
        problems.append(Problem("error", "image file missing", text, "left out"))
        return None
    try:
        height, width = image_size(file)
    except ImageError as error:
        problems.append(Problem("error", "image unreadable", str(error), "left out"))
        return None
    name = file.relative_to(folder) if file.is_relative_to(folder) else file.resolve()
    return {"file_name": name.as_posix(), "height": height, "width": width}


def corners_to_box(
    corners: list[float], image: dict, name: str, where: str, problems: list[Problem]
) -> dict | None:
    """An annotation without ids from corners in px counted from 0; None without a usable box."""
    x1, y1, x2, y2 = corners
    text = f"{where}: {name} {[round(x, 2) for x in corners]}"
    if not x2 > x1 or not y2 > y1:  # also where one is not a number
        problems.append(Problem("warning", "box without area", text, "left out"))
        return None
    left, top = max(x1, 0), max(y1, 0)
    right, bottom = min(x2, image["width"]), min(y2, image["height"])
    if right <= left or bottom <= top:
        problems.append(Problem("warning", "box outside the image", text, "left out"))
        return None
    if max(left - x1, top - y1, x2 - right, y2 - bottom) > 1:
        problems.append(Problem("warning", "box beyond the image", text, "clipped"))
    box = [left, top, right - left, bottom - top]
    return {"name": name, "bbox": box, "area": box[2] * box[3]}


def read_names(path: str | Path) -> list[str]:
    """The class names of a file: one a line, or `name,id` as in CSV; in the order of the ids.

    Raises:
        ValueError: no such file, no name in it, or ids that are not 0, 1, 2, ...
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file of class names")
    lines = [x.strip() for x in path.read_text(encoding="utf-8-sig").splitlines() if x.strip()]
    pairs = [line.rsplit(",", 1) for line in lines]
    if all(len(pair) == 2 and pair[1].strip().isdigit() for pair in pairs):
        ids = {int(number): name.strip() for name, number in pairs}
        if sorted(ids) != list(range(len(pairs))):
            raise ValueError(f"{path}: class ids must be 0, 1, 2, ... once each, got {sorted(ids)}")
        lines = [ids[i] for i in range(len(ids))]
    if not lines or len(set(lines)) != len(lines):
        raise ValueError(f"{path}: class names must be there and differ from each other")
    return lines
