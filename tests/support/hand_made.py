"""Predictions on an image of 64 x 64 px, written by hand: nothing is seen but what is put there."""

import math

import numpy as np
import torch
from stand_ins import TinyBackbone, three_class_detector
from torch import nn

from fcos_d2.evaluation.slicing import Region
from fcos_d2.evaluation.views import MultiViewModel, View
from fcos_d2.evaluation.why.objects import Objects
from fcos_d2.evaluation.why.seen import SeenImage, SeenView
from fcos_d2.evaluation.why.verdict import Judge
from fcos_d2.modeling import Selection
from fcos_d2.modeling.geometry import level_locations
from fcos_d2.modeling.selection import Predictions

SIDE = 64  # px
NAMES = ["cat", "dog", "cow"]
NOTHING = -12.0  # logit
SURE = 30.0  # logit of a quality of 1


class HandMade:
    """Levels of strides 8 and 16, in one view or in an upright and a mirrored one."""

    def __init__(self, *, mirrored: bool = False, **options: object) -> None:
        """`options` are those of `generator_of`."""
        self.generator = three_class_detector(TinyBackbone(), **options).proposal_generator
        self.grids = self.generator.grids((SIDE, SIDE))
        self.locations = [level_locations(grid, like=torch.zeros(1)) for grid in self.grids]
        self.views = [self._empty() for _ in range(2 if mirrored else 1)]

    def _empty(self) -> Predictions:
        counts = [len(x) for x in self.locations]
        return Predictions(
            self.locations,
            [torch.full((n, 3), NOTHING) for n in counts],
            [torch.ones(n, 4) for n in counts],
            [torch.full((n,), SURE) for n in counts],
        )

    def put(
        self,
        cell: tuple[int, int],
        box: tuple[float, ...],
        *,
        view: int = 0,
        quality: float | None = None,
        **probabilities: float,
    ) -> "HandMade":
        """A prediction of level p3.

        Args:
            cell: column and row of its location, (column * 8 + 4, row * 8 + 4) px.
            box: xyxy px of the image; of the mirrored view, too.
            view: 1 for the mirrored one.
            quality: 1 if not given.
            probabilities: of the classes by name.
        """
        x0, y0, x1, y1 = (SIDE - box[2], box[1], SIDE - box[0], box[3]) if view else box
        predictions, idx = self.views[view], cell[1] * 8 + cell[0]
        x, y = self.locations[0][idx].tolist()
        predictions.ltrb[0][idx] = torch.tensor([x - x0, y - y0, x1 - x, y1 - y])
        for name, probability in probabilities.items():
            logit = math.log(probability / (1 - probability))
            predictions.cls_logits[0][idx, NAMES.index(name)] = logit
        if quality is not None:
            predictions.quality_logits[0][idx] = math.log(quality / (1 - quality))
        return self

    def judge(
        self,
        boxes: list[tuple[float, ...]],
        classes: list[int] | None = None,
        *,
        agnostic: float | None = None,
        mean_scores: tuple[float, ...] | None = None,
        **selection: object,
    ) -> Judge:
        """What becomes of objects.

        Args:
            boxes: of the objects, xyxy px.
            classes: theirs; None: all are cats.
            agnostic: IoU of suppression across classes.
            mean_scores: lowest scores out of both views.
            selection: what differs from the default.
        """
        image, region = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8), Region(0, 0, SIDE, SIDE)
        number = sum(grid.num_locations for grid in self.grids)
        views = [
            SeenView(
                view=View(image, region, flipped=k == 1),
                predictions=predictions,
                grids=self.grids,
                first_location=k * number,
            )
            for k, predictions in enumerate(self.views)
        ]
        chosen = Selection(**selection)
        merging = MultiViewModel(
            model=nn.Identity(),
            mappers=[],
            slicing=None,
            flip=True,
            nms_thresh=chosen.nms_thresh,
            max_detections=chosen.max_detections,
        )
        seen = SeenImage(
            image=np.full((SIDE, SIDE, 3), 90, np.uint8),
            inputs={"image": image, "height": SIDE, "width": SIDE},
            views=views,
            generator=self.generator,
            merging=merging if len(views) > 1 else None,
            min_scores=mean_scores,
            iou_across_classes=agnostic,
            class_names=NAMES,
        )
        objects = Objects.of(boxes, classes or [0] * len(boxes))
        return Judge(seen=seen, selection=chosen, objects=objects)
