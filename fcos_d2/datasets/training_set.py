"""The part of a repaired dataset that training uses, and an error where there is none."""

from collections import Counter
from collections.abc import Iterable
from itertools import chain

from detectron2.config import CfgNode, configurable
from detectron2.data import DatasetCatalog, get_detection_dataset_dicts

from ..choices import check_choice
from .formats.coco_fields import has_mask
from .problems import Place, Problem

Coco = dict[str, list[dict]]
NOTHING = "nothing is left to learn"
REASONS = 3  # that the error names
MASKS = ("unused", "optional", "required")
IMAGE_FIELDS = ("id", "file_name", "height", "width", "source_id")
BOX_FIELDS = ("id", "image_id", "category_id", "bbox", "area", "iscrowd")


def learned_fields(coco: Coco, masks: str, problems: list[Problem]) -> Coco:
    """`coco` with only those fields that training and the metric read.

    Args:
        coco: repaired.
        masks: "unused"; "optional", for copy-paste; or "required", for a model that learns them.
        problems: gets objects without a mask where one is required; they are left out.
    """
    check_choice("masks", masks, MASKS)
    images = [{k: x[k] for k in IMAGE_FIELDS if k in x} for x in coco["images"]]
    by_id = {image["id"]: image for image in images}
    annotations = []
    for given in coco["annotations"]:
        annotation = {key: given[key] for key in BOX_FIELDS}
        if masks != "unused":
            image = by_id[given["image_id"]]
            if has_mask(given, image):
                annotation["segmentation"] = given["segmentation"]
            elif given["iscrowd"]:
                annotation["segmentation"] = [_corners(given["bbox"])]
            elif masks == "required":
                kind = "object without a mask, which the model learns"
                place = Place(
                    image=image["file_name"], annotation=given["id"], box=tuple(given["bbox"])
                )
                problems.append(Problem("error", kind, place=place))
                continue
        annotations.append(annotation)
    return {"images": images, "annotations": annotations, "categories": coco["categories"]}


def _corners(box: list[float]) -> list[float]:
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def judge_training_set(coco: Coco, problems: list[Problem]) -> list[Problem]:
    """The problems of a training set; if it holds nothing to learn, that error comes first.

    A problem that this error quotes is not listed again.

    Args:
        coco: repaired.
        problems: of reading it.
    """
    crowds = (annotation["iscrowd"] for annotation in coco["annotations"])
    nothing = nothing_to_learn(len(coco["images"]), crowds, problems)
    if nothing is None:
        return problems
    said = {id(first) for first, count in _losses(problems) if count == 1}
    return [nothing, *(problem for problem in problems if id(problem) not in said)]


def nothing_to_learn(
    num_images: int, crowds: Iterable[bool], problems: Iterable[Problem] = ()
) -> Problem | None:
    """The error of a training set without any box to learn from, with the reason.

    Args:
        num_images: that can be used.
        crowds: of each box that can be used, whether it is a crowd region.
        problems: from reading it; they say what was left out.
    """
    num_boxes = 0
    for crowd in crowds:
        if not crowd:
            return None
        num_boxes += 1
    reasons = [f"{num_images} images"] if num_images else ["no image can be used"]
    if num_boxes:
        reasons.append(f"each of their {num_boxes} boxes is a crowd region, which is not learned")
    elif num_images:
        reasons.append("none of them has a box that can be used")
    for first, count in _losses(problems):
        many = f"{count} times " if count > 1 else ""
        reasons.append(f"{many}{first.without_severity()}")
    return Problem("error", NOTHING, "; ".join(reasons))


def _losses(problems: Iterable[Problem]) -> list[tuple[Problem, int]]:
    """The first of each kind of problem that cost images or boxes, and how many there are."""
    lost = [p for p in problems if p.severity != "note" and (p.repair or p.severity == "error")]
    firsts = {p.kind: p for p in reversed(lost)}
    counts = Counter(p.kind for p in lost)
    return [(firsts[kind], count) for kind, count in counts.items()][:REASONS]


def _records_from_config(cfg: CfgNode) -> dict:
    keypoints = cfg.MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE
    return {
        "names": cfg.DATASETS.TRAIN,
        "filter_empty": cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS,
        "min_keypoints": keypoints if cfg.MODEL.KEYPOINT_ON else 0,
        "proposal_files": cfg.DATASETS.PROPOSAL_FILES_TRAIN if cfg.MODEL.LOAD_PROPOSALS else None,
    }


@configurable(from_config=_records_from_config)
def training_records(
    names: str | list[str] | tuple[str, ...],
    filter_empty: bool = True,
    min_keypoints: int = 0,
    proposal_files: list[str] | None = None,
) -> list[dict]:
    """detectron2's `get_detection_dataset_dicts`, with errors that give the reason.

    Raises:
        ValueError: there is no box to learn from, or a file that detectron2 refuses.
    """
    names = [names] if isinstance(names, str) else [*names]
    try:
        records = get_detection_dataset_dicts(names, filter_empty, min_keypoints, proposal_files)
        refused = None
    except AssertionError as error:
        records, refused = _load(names), error
    if isinstance(records, list):
        crowds = (x.get("iscrowd", 0) for r in records for x in r.get("annotations", ()))
        if nothing := nothing_to_learn(len(records), crowds):
            raise ValueError(f"{', '.join(names)}: {nothing.kind}: {nothing.where}")
    if refused:
        raise ValueError(f"{', '.join(names)}: {refused}")
    return records


def _load(names: list[str]) -> list[dict] | None:
    """All records as they are registered; None where loading them is what fails."""
    try:
        return list(chain.from_iterable(DatasetCatalog.get(name) for name in names))
    except AssertionError:
        return None
