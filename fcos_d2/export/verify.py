"""Whether an exported model finds what the detector finds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from fcos_deploy.engines import load_engine
from fcos_deploy.settings import read_settings

from ..modeling import FCOS
from .detector import ExportableDetector

SCORE_THRESH = 0.05  # detections above it are compared

EDGE = 1e-4  # of an IoU, which rounding may move

Found = tuple[Tensor, Tensor, Tensor]  # boxes (D, 4) px, scores (D,), classes (D,)
Run = Callable[[np.ndarray, np.ndarray], list[np.ndarray]]  # images, image_sizes -> outputs


class Tolerance(NamedTuple):
    """What two models may differ by and still count as equal."""

    boxes: float  # px
    scores: float
    unmatched: float  # share of the detections without a partner this close in the other model


FULL_PRECISION = Tolerance(0.05, 1e-4, 0.0)
# Rounded weights move boxes that were equally good around the edge of suppression.
HALF_WEIGHTS = Tolerance(2.0, 0.02, 0.02)


class Difference(NamedTuple):
    """The worst over some images."""

    boxes: float = 0.0  # px
    scores: float = 0.0
    unmatched: int = 0  # detections without a partner
    detections: int = 0
    undecided: int = 0  # without one because of an overlap of just the suppression threshold

    def within(self, tolerance: Tolerance) -> bool:
        """Whether it is no more than allowed."""
        return (
            self.boxes <= tolerance.boxes
            and self.scores <= tolerance.scores
            and self.unmatched <= tolerance.unmatched * self.detections
        )

    def merged(self, other: "Difference") -> "Difference":
        """The worst of both."""
        return Difference(
            max(self.boxes, other.boxes),
            max(self.scores, other.scores),
            self.unmatched + other.unmatched,
            self.detections + other.detections,
            self.undecided + other.undecided,
        )


def load_exported(folder: Path, format: str, model_file: str) -> Run:
    """Opens what was exported, from its files alone."""
    path = folder / model_file
    if format == "torchscript":
        return _run_in_torch(torch.jit.load(str(path)))
    if format == "torch-export":
        return _run_in_torch(torch.export.load(path).module())
    settings = read_settings(folder)
    # The weakest detections are compared, too; and one just at a threshold may be on either side.
    settings = replace(settings, score=(0.0,) * len(settings.class_names))
    return load_engine(settings).run


def _run_in_torch(module: Callable) -> Run:
    @torch.no_grad()
    def run(images: np.ndarray, image_sizes: np.ndarray) -> list[np.ndarray]:
        outputs = module(torch.from_numpy(images), torch.from_numpy(image_sizes))
        return [x.numpy() for x in outputs]

    return run


def batches_of(
    images: list[Tensor], batch: int | None, size: tuple[int, int] | None
) -> list[list[Tensor]]:
    """How the images are put together: alone and by four, whole and in part.

    Args:
        images: (3, h, w) uint8.
        batch: the one number of images that the exported model takes; None for any.
        size: height and width of its input, which they are stretched to; None for any.
    """
    numbers = (1, 4) if batch is None else (batch,)
    if size is None:
        smaller = [x[:, : x.shape[1] * 3 // 4 + 1, : x.shape[2] * 2 // 3 + 1] for x in images]
        sets = [images, smaller]
    else:
        # The detector pads no further than it must, and what is padded is felt in the image.
        sets = [[F.interpolate(x[None], size)[0] for x in images]]
    groups = []
    for sized in sets:
        for num in numbers:
            full = sized + sized[: -len(sized) % num]
            groups += [full[i : i + num] for i in range(0, len(full), num)]
    return groups


def canvas_of(
    images: list[Tensor], step: int, size: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """What an exported model takes, see `ExportableDetector.forward`.

    Args:
        images: (3, h, w) uint8.
        step: the sides of the canvas are multiples of it.
        size: its sides; None for the smallest that hold all images.
    """
    sizes = np.array([x.shape[1:] for x in images], np.int64)
    height, width = size or (-(-sizes.max(axis=0) // step) * step).tolist()
    canvas = np.zeros((len(images), height, width, 3), np.uint8)
    for row, image in zip(canvas, images, strict=True):
        row[: image.shape[1], : image.shape[2]] = image.permute(1, 2, 0).numpy()
    return canvas, sizes


@torch.no_grad()
def compare(
    model: FCOS,
    run: Run,
    groups: list[list[Tensor]],
    size: tuple[int, int] | None,
    tolerance: Tolerance,
) -> Difference:
    """The worst difference between the detector and an exported model.

    Args:
        model: in evaluation mode, on the CPU.
        run: the exported one.
        groups: of images (3, h, w) uint8, resized and in the channel order of the model.
        size: height and width of the input, or None for any.
        tolerance: see `compare_detections`.
    """
    worst = Difference()
    for images in groups:
        expected = [x["instances"] for x in model.detect_padded([{"image": x} for x in images])]
        outputs = run(*canvas_of(images, model.backbone.size_divisibility, size))
        for wanted, *fields in zip(expected, *outputs, strict=True):
            boxes, scores, classes = (torch.from_numpy(field) for field in fields)
            real = (scores > 0) & (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
            found = boxes[real], scores[real], classes[real]
            wanted = wanted.pred_boxes.tensor, wanted.scores, wanted.pred_classes
            selection = model.proposal_generator.test_selection
            limits = selection.max_detections, selection.nms_thresh
            worst = worst.merged(compare_detections(wanted, found, *limits, tolerance))
    return worst


def compare_detections(
    wanted: Found, found: Found, cap: int, nms_thresh: float, tolerance: Tolerance
) -> Difference:
    """Each detection of one model against the most similar one of the other.

    Args:
        wanted, found: boxes (D, 4) px, scores (D,) and classes (D,).
        cap: on the number of detections; where it cuts, the last ones need no partner.
        nms_thresh: IoU above which the weaker box of a class goes.
        tolerance: what is further apart is no partner.
    """
    floor = SCORE_THRESH
    for _, scores, _ in (wanted, found):
        if len(scores) >= cap:
            floor = max(floor, float(scores.min()))
    floor += tolerance.scores
    boxes, scores, classes = found
    free = torch.ones(len(scores), dtype=torch.bool)
    alone = torch.zeros(len(wanted[1]), dtype=torch.bool)
    result = Difference(detections=int((wanted[1] > floor).sum()))
    for i, (box, score, label) in enumerate(zip(*wanted, strict=True)):
        distance = (boxes - box).abs().amax(dim=1)
        apart = (scores - score).abs()
        close = (distance <= tolerance.boxes) & (apart <= tolerance.scores)
        partners = free & close & (classes == label)
        if not partners.any():
            alone[i] = True
            continue
        partner = int(distance.masked_fill(~partners, torch.inf).argmin())
        free[partner] = False
        if score > SCORE_THRESH:
            result = result.merged(Difference(float(distance[partner]), float(apart[partner])))
    undecided = borderline_detections((wanted, found), (alone, free), nms_thresh)
    counts = [0, 0]
    for (_, scores, _), lonely, excused in zip(
        (wanted, found), (alone, free), undecided, strict=True
    ):
        lonely = lonely & (scores > floor)
        counts[0] += int((lonely & ~excused).sum())
        counts[1] += int((lonely & excused).sum())
    return result._replace(unmatched=counts[0], undecided=counts[1])


def borderline_detections(
    sides: tuple[Found, Found], alone: tuple[Tensor, Tensor], nms_thresh: float
) -> list[Tensor]:
    """Which detections rounding keeps in one model and suppresses in the other.

    They overlap with another one by the threshold of suppression, no more and no less; or with
    one of these, which the other model has kept.

    Args:
        sides: boxes (D, 4), scores (D,) and classes (D,) of both models.
        alone: (D,) bool, those without a partner in the other model.
        nms_thresh: IoU above which the weaker box of a class goes.

    Returns:
        (D,) bool for each side.
    """

    def overlaps(one: Found, other: Found) -> Tensor:
        same = one[2][:, None] == other[2]
        return torch.where(same, box_iou(one[0].double(), other[0].double()), 0.0)

    undecided = []
    for side, lonely in zip(sides, alone, strict=True):
        at_threshold = (overlaps(side, side) - nms_thresh).abs() <= EDGE
        undecided.append(lonely & at_threshold.any(dim=1))
    across = overlaps(*sides) > nms_thresh
    while True:
        before = sum(int(x.sum()) for x in undecided)
        undecided[0] = undecided[0] | alone[0] & (across & undecided[1]).any(dim=1)
        undecided[1] = undecided[1] | alone[1] & (across & undecided[0][:, None]).any(dim=0)
        if sum(int(x.sum()) for x in undecided) == before:
            return undecided


@torch.no_grad()
def compare_raw(
    detector: ExportableDetector,
    run: Run,
    groups: list[list[Tensor]],
    size: tuple[int, int] | None,
) -> Difference:
    """The same for the boxes and scores of all locations; `detector` gives raw heads, too."""
    worst = Difference()
    for images in groups:
        inputs = canvas_of(images, detector.backbone.size_divisibility, size)
        wanted = detector(*(torch.from_numpy(x) for x in inputs))
        boxes, scores = (torch.from_numpy(x) for x in run(*inputs))
        apart = Difference(
            boxes=float((boxes - wanted[0]).abs().max()),
            # The root makes much of rounding next to 0.
            scores=float((scores.clamp(SCORE_THRESH) - wanted[1].clamp(SCORE_THRESH)).abs().max()),
            detections=wanted[1].shape[1] * len(images),
        )
        worst = worst.merged(apart)
    return worst
