"""Which locations could have learned an object, by the run's own assigner."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...modeling import FCOSProposalGenerator, SizeRangeAssigner
from ...modeling.matching import Truth
from .objects import Objects
from .seen import SeenView


@dataclass(frozen=True)
class Learned:
    """Who learns an object in one view.

    Attributes:
        alone: (R,) bool, the locations that learn it where it is the only object.
        together: (R,) bool, those that learn it among the other objects of the image.
        levels: the number of locations of each level in `alone`.
        by_predictions: the assigner looks at predictions, so this follows from the present ones.
    """

    alone: Tensor
    together: Tensor
    levels: list[int]
    by_predictions: bool


@torch.inference_mode()
def who_learns(
    view: SeenView, generator: FCOSProposalGenerator, objects: Objects, i: int
) -> Learned:
    """The locations that learn an object.

    Args:
        view: that the object is looked at in.
        generator: of the detector.
        objects: of the image; crowd regions are not learned.
        i: which of them.
    """
    real = ~objects.crowd
    position = int(real[:i].sum())
    boxes = view.to_input(objects.boxes).to(view.predictions.ltrb[0].dtype)
    alone = _learns(view, generator, boxes[i : i + 1], objects.classes[i : i + 1]) == 0
    together = _learns(view, generator, boxes[real], objects.classes[real]) == position
    levels = alone.split(view.counts)
    counts = [int(level.sum()) for level in levels]
    return Learned(alone, together, counts, generator.assigner.needs_predictions)


def _learns(
    view: SeenView, generator: FCOSProposalGenerator, boxes: Tensor, classes: Tensor
) -> Tensor:
    """The box that each location learns, (R,); -1 for none."""
    _, cls_logits, ltrb, _ = view.predictions
    device = ltrb[0].device if generator.assigner.needs_predictions else torch.device("cpu")
    truth = Truth(boxes.to(device), classes.to(device), [len(boxes)])
    in_strides = [x / grid.stride for x, grid in zip(ltrb, view.grids, strict=True)]
    matches = generator.assigner.assign(
        truth, view.grids, torch.cat(cls_logits)[None], torch.cat(in_strides)[None]
    )
    return matches.matched_idxs.cpu()


def in_words(learned: Learned, view: SeenView, generator: FCOSProposalGenerator) -> str:
    """A sentence on who learns the object."""
    names = zip(generator.in_features, generator.strides, learned.levels, strict=True)
    levels = [f"{n} of {name} (stride {stride} px)" for name, stride, n in names if n]
    if not levels:
        return f"No location learns it in training{_why_none(generator)}."
    number, taken = sum(learned.levels), int((learned.alone & ~learned.together).sum())
    places = "location" if number == 1 else "locations"
    text = f"In training {number} {places} could learn it: {' and '.join(levels)}"
    if learned.by_predictions:
        text += ", as the present predictions have it"
    if not taken:
        return f"{text}."
    what = "it" if number == 1 else "all of them" if taken == number else f"{taken} of them"
    return f"{text}; other objects of the image take {what}."


def _why_none(generator: FCOSProposalGenerator) -> str:
    assigner = generator.assigner
    if not isinstance(assigner, SizeRangeAssigner):
        return ": none lies inside it"
    where = "inside it" if assigner.center_sampling_radius is None else "inside it, near its centre"
    return f": none of the level for its size lies {where}"
