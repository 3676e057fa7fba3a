"""Changed settings, and the detector with them."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ...modeling.selection import Selection
from ...predictor import Predictor
from ..slicing import Slicing
from ..tta import FlipsAndScales
from ..views import MultiViewModel, ViewSettings, with_augmentations
from .seen import SeenImage

# What may be changed, and the type of the value.
CHANGES: dict[str, type] = {
    "threshold": float,
    "score_thresh": float,
    "topk_candidates": int,
    "nms_thresh": float,
    "max_detections": int,
    "size": int,
    "slice": int,
}
IMAGE_CHANGES = ("size", "slice")  # for which the network runs again


@dataclass(frozen=True)
class Variant:
    """Settings that differ from those of the detector; {} is the detector itself."""

    changes: dict[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Variant":
        """Of "nms_thresh=0.7,max_detections=300".

        Raises:
            ValueError: an unknown name, or a value that is no number.
        """
        changes = {}
        for part in text.split(","):
            name, _, value = part.partition("=")
            if name not in CHANGES:
                raise ValueError(
                    f"{part!r}: no setting that can be changed; NAME=VALUE, with the names "
                    f"{', '.join(CHANGES)}"
                )
            try:
                changes[name] = CHANGES[name](value)
            except ValueError:
                kind = "a whole number" if CHANGES[name] is int else "a number"
                raise ValueError(f"{part!r}: {name} needs {kind}, got {value!r}") from None
        return cls(changes)

    def __str__(self) -> str:
        named = ", ".join(f"{name} {value:g}" for name, value in self.changes.items())
        return named or "as it is"

    @property
    def runs_again(self) -> bool:
        """Whether the network has to see the images anew."""
        return any(name in self.changes for name in IMAGE_CHANGES)

    def selection(self, given: Selection, num_classes: int) -> Selection:
        """The selection with its changes.

        Raises:
            ValueError: a number out of range.
        """
        changes: dict = {k: v for k, v in self.changes.items() if k not in IMAGE_CHANGES}
        if "threshold" in changes:
            changes["min_scores"] = (changes.pop("threshold"),) * num_classes
        return replace(given, **changes)

    def applied(
        self, seen: SeenImage, changed: Selection, given: Selection
    ) -> tuple[SeenImage, Selection]:
        """The changes at the place where the predictor applies them.

        Args:
            seen: an image.
            changed: of `selection`.
            given: without the changes.
        """
        if "threshold" in self.changes and seen.merging is not None and seen.merging.averages:
            # Of views, the mean score counts.
            seen = replace(seen, min_scores=changed.min_scores)
            changed = replace(changed, min_scores=given.min_scores)
        if seen.iou_across_classes is not None and changed.nms_thresh > 0:
            seen = replace(seen, iou_across_classes=changed.nms_thresh)
        return seen, changed

    def predictor(self, given: Predictor) -> Predictor:
        """The predictor whose network sees images in the changed size or in slices.

        Raises:
            ValueError: test-time augmentation, a resize that is not to a short side, or a size
                that cannot be.
        """
        if not self.runs_again:
            return given
        changed = copy.copy(given)
        merging = given.detector if isinstance(given.detector, MultiViewModel) else None
        if merging is not None and merging.averages:
            raise ValueError(f"{self}: not together with test-time augmentation; leave out --tta")
        mapper = given.mapper if merging is None else merging.mappers[0]
        if "size" in self.changes:
            mapper = with_augmentations(mapper, _resizes(mapper.augmentations.augs, self))
        slicing = None if merging is None else merging.slicing
        if "slice" in self.changes:
            slicing = Slicing(int(self.changes["slice"]))
        views = ViewSettings(slicing, None)
        changed.mapper = views.loader_mapper(mapper)
        changed.detector = views.wrap(given.model, mapper)
        return changed


def _resizes(augmentations: Sequence, variant: Variant) -> list:
    """The augmentations of a test mapper, with another short side; the long one grows with it."""
    short = int(variant.changes["size"])
    if short < 1:
        raise ValueError(f"{variant}: the size must be positive")
    plain = next((x for x in augmentations if hasattr(x, "short_edge_length")), None)
    now = plain.short_edge_length[0] if plain is not None else 0
    longest = round(plain.max_size * short / now) if plain is not None and now else 4000
    return FlipsAndScales((short,), longest, flip=False).variants(list(augmentations))[0]


def usual_variants(selection: Selection) -> list[Variant]:
    """What is tried where nothing is asked for: each limit in turn made wider, and all of them."""
    wider: dict[str, float] = {"score_thresh": selection.score_thresh / 2}
    if selection.min_scores is not None:
        wider = {"threshold": min(selection.min_scores) / 2}
    wider["topk_candidates"] = 10 * selection.topk_candidates
    if selection.nms_thresh > 0:
        wider["nms_thresh"] = min(round(selection.nms_thresh + 0.1, 3), 1.0)
    if selection.max_detections > 0:
        wider["max_detections"] = 3 * selection.max_detections
    return [*(Variant({name: value}) for name, value in wider.items()), Variant(wider)]
