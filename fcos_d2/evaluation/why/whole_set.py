"""All misses of a set: what each step costs, and what changed settings would give."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from detectron2.structures import Instances

from fcos_deploy.vision import ImageError, read_image

from ...class_names import listed, positions
from ...datasets.formats import ReadDataset
from ...predictor import Predictor
from ..coco import match_boxes
from ..coco_boxes import box_rows, coco_statistics
from ..coco_limits import COCO_LIMIT
from ..results import DetectionSet
from .explaining import explanation
from .explanation import Explanation
from .objects import Objects, match
from .seen import SeenImage, look
from .steps import MISSES
from .trace import trace
from .verdict import Judge
from .what_if import Variant

logger = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """What a setting gives on a set, in percent but for the counts."""

    variant: Variant
    ap: float
    ap50: float
    recall: float  # share of the objects that are found
    missed: int
    false: int  # detections that find no object

    def as_dict(self) -> dict:
        """For json, which knows no NaN."""
        numbers = {k: None if x != x else x for k, x in self._asdict().items() if k != "variant"}
        return {"variant": self.variant.changes, **numbers}


@dataclass(frozen=True)
class SetResult:
    """A whole set.

    Attributes:
        images, objects: how many there are; crowds are no objects.
        unreadable: images that were left out.
        steps: the number of misses at each step.
        after: of the misses at each step, how many are found once their cause is gone.
        misses: the explanations, without pictures.
        outcomes: of the settings as they are, and of each change.
    """

    images: int
    objects: int
    unreadable: int
    steps: dict[str, int]
    after: dict[str, int]
    misses: list[dict]
    outcomes: list[Outcome]

    def as_dict(self) -> dict:
        """For json."""
        return {**vars(self), "outcomes": [x.as_dict() for x in self.outcomes]}


class LabelledImages:
    """A dataset with the classes of a detector."""

    def __init__(self, read: ReadDataset, names: Sequence[str], source: str) -> None:
        """
        Args:
            read: the dataset.
            names: the K classes of the detector.
            source: what messages call the dataset.

        Raises:
            ValueError: boxes of a class that the detector does not have.
        """
        self.data = DetectionSet(truth=read.coco, detections=[], folder=read.images, source=source)
        self.source, self.names = source, names
        # From classes of the data to those of the detector, and back.
        self.to_detector = np.array(positions(self.data.class_names, names), dtype=np.int64)
        self.to_data = np.array(positions(names, self.data.class_names), dtype=np.int64)
        used = {k for k in self.data.objects.label if self.to_detector[k] < 0}
        if used:
            unknown = [self.data.class_names[k] for k in sorted(used)]
            raise ValueError(
                f"{source} has boxes of classes that the detector does not know: "
                f"{listed(unknown)}; its classes are {listed(names)}"
            )

    def __len__(self) -> int:
        return len(self.data.images)

    def path(self, i: int) -> Path:
        """Of an image."""
        return Path(self.data.folder or "", self.data.images[i]["file_name"])

    def objects(self, i: int) -> Objects:
        """Of an image."""
        boxes, annotations = self.data.objects, self.data.truth["annotations"]
        rows = np.flatnonzero(boxes.image == i)
        xywh = torch.from_numpy(boxes.xywh[rows])
        return Objects(
            boxes=torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], dim=1),
            classes=torch.from_numpy(self.to_detector[boxes.label[rows]]),
            crowd=torch.from_numpy(boxes.crowd[rows]),
            ids=[annotations[row]["id"] for row in rows],
        )

    def of_annotation(self, wanted: str) -> tuple[int, int]:
        """The image of an annotation, and its place among the objects there.

        Args:
            wanted: its id, as text.

        Raises:
            ValueError: there is none, or it is a crowd.
        """
        for row, annotation in enumerate(self.data.truth["annotations"]):
            if str(annotation["id"]) != wanted:
                continue
            if annotation.get("iscrowd", 0):
                raise ValueError(
                    f"{self.source}: annotation {wanted} is a region of many objects (iscrowd), "
                    "which no detection has to find"
                )
            i = int(self.data.objects.image[row])
            return i, int((self.data.objects.image[:row] == i).sum())
        ids = [x["id"] for x in self.data.truth["annotations"]]
        known = f"; it has {len(ids):,}, from {min(ids)} to {max(ids)}" if ids else ""
        raise ValueError(f"{self.source} has no annotation with the id {wanted}{known}")


class _Tally:
    """The detections of one setting, image after image."""

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self.rows: list[np.ndarray] = [np.zeros((0, 7))]
        self.found, self.false = 0, 0

    def add(
        self, labelled: LabelledImages, i: int, objects: Objects, found: Instances, iou: float
    ) -> None:
        found = found[torch.from_numpy(labelled.to_data[found.pred_classes.numpy()] >= 0)]
        matching = match(objects, found, iou)
        self.found += int((matching.detection_of >= 0).sum())
        self.false += int(((matching.object_of < 0) & matching.counted).sum())
        rows = box_rows(found).astype(np.float64)
        rows[:, 5] = labelled.to_data[rows[:, 5].astype(int)] + 1
        self.rows.append(np.column_stack([np.full(len(rows), i + 1.0), rows]))

    def outcome(self, labelled: LabelledImages, objects: int, seen: list[int]) -> Outcome:
        rows, statistics = np.concatenate(self.rows), {"AP": 0.0, "AP50": 0.0}
        if len(rows) and objects:
            curves = match_boxes(labelled.data.coco, rows, [1, 10, COCO_LIMIT], seen)
            statistics = coco_statistics(*curves)
        recall = 100 * self.found / objects if objects else float("nan")
        return Outcome(
            self.variant,
            statistics["AP"],
            statistics["AP50"],
            recall,
            objects - self.found,
            self.false,
        )


def explain_set(
    predictor: Predictor,
    labelled: LabelledImages,
    variants: Sequence[Variant] = (),
    *,
    iou: float = 0.5,
    on_miss: Callable[[Explanation], None] = lambda _: None,
    watch: Callable[[Iterator[int]], Iterator[int]] = iter,
) -> SetResult:
    """Every miss of a set explained, and every change of settings tried.

    The network sees each image once, and once more for each change of its size or slices.

    Args:
        predictor: of a one-stage detector.
        labelled: the set.
        variants: changes to try.
        iou: least IoU of a detection that finds an object.
        on_miss: gets each explanation while its image is at hand, so that it can be drawn.
        watch: goes through the indices of images, for progress.

    Raises:
        ValueError: a two-stage detector, or a change that cannot be.
    """
    selection = predictor.model.proposal_generator.test_selection
    number = len(predictor.class_names)
    selections = [variant.selection(selection, number) for variant in variants]
    predictors = [variant.predictor(predictor) for variant in variants]
    as_it_is, tallies = _Tally(Variant()), [_Tally(variant) for variant in variants]
    explanations, objects = [], 0
    readable: list[int] = []  # ids of the images
    for i in watch(iter(range(len(labelled)))):
        try:
            image = read_image(labelled.path(i))
        except ImageError as error:
            logger.warning("%s; left out", error)
            continue
        readable.append(i + 1)
        seen = look(predictor, image)
        judge = Judge(seen=seen, selection=selection, objects=labelled.objects(i), iou=iou)
        objects += int((~judge.objects.crowd).sum())
        for miss in judge.misses:
            explained = explanation(judge, miss, name=labelled.path(i).name)
            on_miss(explained)
            explanations.append(explained.as_dict())
        as_it_is.add(labelled, i, judge.objects, judge.trace.found, iou)
        for tally, changed, chosen in zip(tallies, predictors, selections, strict=True):
            again: SeenImage = seen if changed is predictor else look(changed, image)
            again, chosen = tally.variant.applied(again, chosen, selection)
            tally.add(labelled, i, judge.objects, trace(again, chosen).found, iou)
    steps = Counter(x["step"] for x in explanations)
    after = Counter(x["step"] for x in explanations if x["step_after"] == "found")
    return SetResult(
        images=len(readable),
        objects=objects,
        unreadable=len(labelled) - len(readable),
        steps={step: steps[step] for step in MISSES},
        after={step: after[step] for step in MISSES},
        misses=explanations,
        outcomes=[tally.outcome(labelled, objects, readable) for tally in (as_it_is, *tallies)],
    )
