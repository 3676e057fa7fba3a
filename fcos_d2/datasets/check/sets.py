"""Checks of a set of annotations as a whole, and of two sets together."""

from collections import Counter

from ..problems import Place, Problem

Coco = dict[str, list[dict]]


def check_sets(train: Coco, val: Coco | None = None) -> list[Problem]:
    """Classes without boxes, images without, crowds, a class that dwarfs another, shared images.

    Args:
        train, val: repaired COCO dicts; `val` may be None.
    """
    problems = _classes(train)
    with_boxes = {a["image_id"] for a in train["annotations"] if not a["iscrowd"]}
    empty = [x["file_name"] for x in train["images"] if x["id"] not in with_boxes]
    if empty:
        text = f"{len(empty)} of {len(train['images'])}, such as {empty[0]}"
        how = "left out in training unless DATALOADER.FILTER_EMPTY_ANNOTATIONS is False"
        problems.append(Problem("note", "images without boxes", text, how))
    crowds = sum(a["iscrowd"] for a in train["annotations"])
    if crowds:
        how = "not learned, and ignored by the metric"
        problems.append(Problem("note", "crowd regions", str(crowds), how))
    if val is not None:
        problems += _shared(train, val)
    return problems


def _classes(coco: Coco) -> list[Problem]:
    counts = Counter(annotation["category_id"] for annotation in coco["annotations"])
    problems = [
        Problem("warning", "class without boxes", place=Place(category=category["name"]))
        for category in coco["categories"]
        if not counts[category["id"]]
    ]
    if counts and max(counts.values()) > 100 * min(counts.values()):
        names = {category["id"]: category["name"] for category in coco["categories"]}
        (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
        text = f"{names[most]} has {many} boxes, {names[least]} {few}"
        problems.append(Problem("note", "one class has over 100 times the boxes of another", text))
    return problems


def _shared(train: Coco, val: Coco) -> list[Problem]:
    names = {image["file_name"] for image in train["images"]}
    return [
        Problem("error", "image in training and validation", place=Place(image=image["file_name"]))
        for image in val["images"]
        if image["file_name"] in names
    ]
