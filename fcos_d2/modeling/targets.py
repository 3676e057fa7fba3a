"""What every location of some images shall predict, under any of the assigners."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .assignment import assign_locations
from .assignment_atss import assign_atss
from .assignment_tal import assign_task_aligned
from .geometry import LocationGrid, boxes_to_ltrb
from .transfer import upload

ASSIGNERS = ("size_ranges", "atss", "task_aligned")
# Boxes that are assigned together, unless one image has more: few operators, and little memory.
BOXES_AT_ONCE = 512


class Targets(NamedTuple):
    """Of N images with R locations each, the P locations that learn a box; all others are
    background."""

    num_images: int
    num_locations: int
    positive_idxs: Tensor  # (P,) int64 in [0, N * R), rising
    classes: Tensor  # (P,) int64 in [0, K)
    ltrb_in_strides: Tensor  # (P, 4)
    alignment: Tensor | None  # (P,) of "task_aligned", see `AlignedMatches`; None of others

    def labels(self, num_classes: int) -> Tensor:
        """(N * R,) int64 in [0, K]; K is background."""
        size = (self.num_images * self.num_locations,)
        labels = self.classes.new_full(size, num_classes)
        labels[self.positive_idxs] = self.classes
        return labels

    def to(self, device: torch.device) -> "Targets":
        """The same on another device; they come from the CPU without an alignment."""
        if self.classes.device == device:
            return self
        fields = upload([self.positive_idxs, self.classes, self.ltrb_in_strides], device)
        return Targets(self.num_images, self.num_locations, *fields, self.alignment)


@dataclass(frozen=True, kw_only=True)
class TargetMaker:
    """The assigner with its options, those of the others being without effect.

    Args:
        assigner: which locations learn a box: "size_ranges", the paper's rule; "atss" or
            "task_aligned", see `assign_atss` and `assign_task_aligned`.
        num_classes: K.
        strides: L strides, px.
        size_ranges: of "size_ranges", L pairs (lowest, highest) of max(ltrb), px.
        inclusive_size_ranges: a distance equal to a limit belongs to both levels; False: to none.
        center_sampling_radius: only locations so near the box centre are positive, strides; None:
            all within the box.
        atss_topk, atss_anchor_scale: of `assign_atss`.
        tal_topk, tal_alpha, tal_beta: of `assign_task_aligned`.

    Raises:
        ValueError: unknown assigner.
    """

    assigner: str
    num_classes: int
    strides: list[int]
    size_ranges: list[tuple[float, float]]
    inclusive_size_ranges: bool
    center_sampling_radius: float | None
    atss_topk: int
    atss_anchor_scale: float
    tal_topk: int
    tal_alpha: float
    tal_beta: float

    def __post_init__(self) -> None:
        if self.assigner not in ASSIGNERS:
            raise ValueError(f"assigner must be one of {ASSIGNERS}, got {self.assigner!r}")

    @property
    def needs_predictions(self) -> bool:
        return self.assigner == "task_aligned"

    @torch.no_grad()
    def match(
        self,
        gt_boxes: Tensor,
        grids: list[LocationGrid],
        image_idxs: Tensor | None = None,
        num_images: int = 1,
    ) -> Tensor:
        """The box that each location learns, of assigners that need no predictions.

        Args:
            gt_boxes: (M, 4) xyxy, px.
            grids: L grids.
            image_idxs: (M,) int64 in [0, N), the image of each box; None: there is one image.
            num_images: N.

        Returns:
            matched_idxs: (N * R,) int64 in [-1, M).

        Raises:
            ValueError: another assigner.
        """
        images = {"image_idxs": image_idxs, "num_images": num_images}
        if self.assigner == "atss":
            return assign_atss(
                gt_boxes, grids, self.strides, self.atss_topk, self.atss_anchor_scale, **images
            )
        if self.assigner == "size_ranges":
            return assign_locations(
                gt_boxes,
                grids,
                self.strides,
                self.size_ranges,
                self.center_sampling_radius,
                self.inclusive_size_ranges,
                **images,
            )
        raise ValueError(self._without_predictions())

    @torch.no_grad()
    def batch_targets(
        self,
        truth: list[tuple[Tensor, Tensor]],
        grids: list[LocationGrid],
        locations: list[Tensor],
        cls_logits: Tensor | None = None,
        ltrb_in_strides: Tensor | None = None,
    ) -> Targets:
        """The targets of N images, on the device of `truth`.

        Assigners that need no predictions take many small operators and look at what they found, so
        they had better run on the CPU.

        Args:
            truth: N pairs of gt_boxes (M, 4) xyxy, px, and gt_classes (M,) int64 in [0, K).
            grids: L grids.
            locations: L tensors (Hi * Wi, 2), px, of `grids`; the result takes their dtype.
            cls_logits: (N, R, K), where `needs_predictions`.
            ltrb_in_strides: (N, R, 4) predicted, likewise.

        Raises:
            ValueError: predictions are needed, and there are none.
        """
        locations_cat, strides = torch.cat(locations), self._strides_of(locations)
        truth = [(boxes.to(locations_cat.dtype), classes) for boxes, classes in truth]
        parts = []
        if not self.needs_predictions:
            groups = _groups(truth)
            matches = ((group, self._match_group(group, grids), None) for group in groups)
        elif cls_logits is None or ltrb_in_strides is None:
            raise ValueError(self._without_predictions())
        else:
            predicted_ltrb = ltrb_in_strides * strides
            images = zip(truth, cls_logits, predicted_ltrb, strict=True)
            matches = (
                ([image], *self._align(*image, grids, locations_cat, *predicted))
                for image, *predicted in images
            )
        done = 0
        for group, matched_idxs, alignment in matches:
            part = _targets_of(group, matched_idxs, locations_cat, strides, alignment)
            offset = done * len(locations_cat)
            parts.append(part._replace(positive_idxs=part.positive_idxs + offset))
            done += len(group)
        return _joined(parts)

    def _match_group(self, group: list[tuple[Tensor, Tensor]], grids: list[LocationGrid]) -> Tensor:
        boxes = torch.cat([boxes for boxes, _ in group])
        counts = torch.tensor([len(boxes) for boxes, _ in group])
        image_idxs = torch.arange(len(group)).repeat_interleave(counts).to(boxes.device)
        return self.match(boxes, grids, image_idxs, len(group))

    def _align(
        self,
        gt_boxes: Tensor,
        gt_classes: Tensor,
        grids: list[LocationGrid],
        locations: Tensor,
        cls_logits: Tensor,
        pred_ltrb: Tensor,
    ) -> tuple[Tensor, Tensor]:
        options = (self.tal_topk, self.tal_alpha, self.tal_beta)
        return assign_task_aligned(
            gt_boxes, gt_classes, grids, locations, cls_logits, pred_ltrb, *options
        )

    def _without_predictions(self) -> str:
        return f"the assigner {self.assigner!r} depends on what the model predicts"

    def _strides_of(self, locations: list[Tensor]) -> Tensor:
        """(R, 1) stride of the level of each location, px."""
        levels = zip(locations, self.strides, strict=True)
        return torch.cat([x.new_full((len(x), 1), stride) for x, stride in levels])


def _groups(truth: list[tuple[Tensor, Tensor]]) -> list[list[tuple[Tensor, Tensor]]]:
    """Neighbouring images with at most BOXES_AT_ONCE boxes together, or one image alone."""
    groups, num_boxes = [], 0
    for image in truth:
        num_boxes += len(image[0])
        if groups and num_boxes <= BOXES_AT_ONCE:
            groups[-1].append(image)
        else:
            groups.append([image])
            num_boxes = len(image[0])
    return groups


def _targets_of(
    images: list[tuple[Tensor, Tensor]],
    matched_idxs: Tensor,
    locations: Tensor,
    strides: Tensor,
    alignment: Tensor | None,
) -> Targets:
    """
    Args:
        images: N pairs of boxes (M, 4) px and classes (M,).
        matched_idxs: (N * R,) int64, indices into the boxes of all of them; -1 is background.
        locations: (R, 2) px.
        strides: (R, 1) px.
        alignment: (N * R,) or None.
    """
    gt_boxes, gt_classes = (torch.cat(x) for x in zip(*images, strict=True))
    positive_idxs = (matched_idxs >= 0).nonzero()[:, 0]
    gt_idxs, place = matched_idxs[positive_idxs], positive_idxs % len(locations)
    ltrb = boxes_to_ltrb(locations[place], gt_boxes[gt_idxs])
    return Targets(
        len(images),
        len(locations),
        positive_idxs,
        gt_classes[gt_idxs],
        ltrb / strides[place],
        None if alignment is None else alignment[positive_idxs],
    )


def _joined(parts: list[Targets]) -> Targets:
    if len(parts) == 1:
        return parts[0]
    counts, sizes, idxs, classes, ltrb, alignment = zip(*parts, strict=True)
    aligned = None if alignment[0] is None else torch.cat(alignment)
    tensors = (torch.cat(x) for x in (idxs, classes, ltrb))
    return Targets(sum(counts), sizes[0], *tensors, aligned)
