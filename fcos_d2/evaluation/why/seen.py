"""What the network says of one image, in all views of it, before anything is selected."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from detectron2.modeling.postprocessing import detector_postprocess
from torch import Tensor

from ...modeling import FCOSProposalGenerator
from ...modeling.geometry import LocationGrid, ltrb_to_boxes
from ...modeling.meta_arch import FCOS
from ...modeling.packing import pack_detections
from ...modeling.selection import Detections, Predictions, clipped
from ...predictor import Predictor
from ..slicing import Region
from ..views import MultiViewModel, View, in_image, inputs_of


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenView:
    """One input of the network, and what was predicted on it."""

    view: View
    predictions: Predictions
    grids: list[LocationGrid]
    first_location: int  # number of its first location among those of all views

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input, px."""
        height, width = self.view.image.shape[-2:]
        return height, width

    @property
    def region_size(self) -> tuple[int, int]:
        """Height and width of what it shows, px of the image."""
        region = self.view.region
        return region.y1 - region.y0, region.x1 - region.x0

    @property
    def num_locations(self) -> int:
        """R."""
        return sum(self.counts)

    @property
    def counts(self) -> list[int]:
        """Locations of each level."""
        return [grid.num_locations for grid in self.grids]

    def level_of(self, location: int) -> tuple[int, int]:
        """The level of a location, which is counted over all views, and its number there."""
        own, starts = location - self.first_location, [0, *accumulate(self.counts)]
        level = bisect_right(starts, own) - 1
        return level, own - starts[level]

    def to_input(self, boxes: Tensor) -> Tensor:
        """Boxes (M, 4) in px of the image, in px of the network's input."""
        region, (height, width) = self.view.region, self.region_size
        boxes = boxes - boxes.new_tensor([region.x0, region.y0] * 2)
        if self.view.flipped:
            x0, y0, x1, y1 = boxes.unbind(dim=1)
            boxes = torch.stack([width - x1, y0, width - x0, y1], dim=1)
        scale = [self.input_size[1] / width, self.input_size[0] / height]
        return boxes * boxes.new_tensor(scale * 2)

    def to_image_points(self, points: Tensor) -> Tensor:
        """Points (..., 2) in px of the network's input, in px of the image."""
        region, (height, width) = self.view.region, self.region_size
        scale = [width / self.input_size[1], height / self.input_size[0]]
        x, y = (points * points.new_tensor(scale)).unbind(dim=-1)
        x = width - x if self.view.flipped else x
        return torch.stack([x + region.x0, y + region.y0], dim=-1)

    def to_image(self, found: Detections) -> Detections:
        """Detections in px of the network's input as the detector gives them, in px of the image;
        without those that lie outside it, and with the locations counted over all views.
        """
        instances = pack_detections(found, self.input_size)
        instances.location_idxs = found.location_idxs + self.first_location
        instances = detector_postprocess(instances, *self.region_size)
        return in_image(instances, self.view)._replace(location_idxs=instances.location_idxs)


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenImage:
    """An image, and what was predicted on all views of it."""

    image: np.ndarray  # BGR uint8 (H, W, 3)
    inputs: dict  # of the detector, with the height and width that boxes come out in
    views: list[SeenView]
    generator: FCOSProposalGenerator
    merging: MultiViewModel | None  # what makes one answer of several views
    min_scores: tuple[float, ...] | None  # of each class, for what comes out of several views
    iou_across_classes: float | None  # see `suppress_across_classes`
    class_names: list[str]

    def boxes(self, clip_before_nms: bool) -> Tensor:
        """What all locations of all views predict, (R of all views, 4) px of the image; 0 for a
        box outside it.

        Args:
            clip_before_nms: see `Selection`.
        """
        boxes = []
        for seen in self.views:
            locations, _, ltrb, _ = seen.predictions
            everywhere = ltrb_to_boxes(torch.cat(locations), torch.cat(ltrb))
            idxs = torch.arange(len(everywhere), device=everywhere.device)
            found = Detections(everywhere, everywhere[:, 0], idxs, idxs)
            found = clipped(found, seen.input_size) if clip_before_nms else found
            placed = seen.to_image(found)
            boxes.append(torch.zeros_like(everywhere))
            boxes[-1][placed.location_idxs - seen.first_location] = placed.boxes
        return torch.cat(boxes)

    def view_of(self, location: int) -> SeenView:
        """The view with a location, which is counted over all views."""
        return next(x for x in reversed(self.views) if x.first_location <= location)


@torch.inference_mode()
def look(predictor: Predictor, image: np.ndarray) -> SeenImage:
    """What a predictor's network says of an image, in the views that it takes.

    Args:
        predictor: of a one-stage detector.
        image: BGR uint8 (H, W, 3).

    Raises:
        ValueError: a two-stage detector, whose answers belong to no location.
    """
    model = predictor.model
    if not isinstance(model, FCOS):
        raise ValueError(
            "why follows the locations of a one-stage FCOS, and this is a two-stage detector "
            f"({type(model).__name__}), whose boxes come from its second stage: give the weights "
            "of a detector with the meta-architecture FCOS"
        )
    inputs, detector = predictor.inputs_of(image), predictor.detector
    merging = detector if isinstance(detector, MultiViewModel) else None
    if merging is None:
        height, width = image.shape[:2]
        batches = [[View(inputs["image"], Region(0, 0, width, height), flipped=False)]]
    else:
        regions = merging.regions(inputs["image"].shape[1:])
        batches = list(merging.batches(inputs["image"], regions))
    seen: list[SeenView] = []
    with predictor.autocast():
        for batch in batches:
            seen += _seen(model, batch, seen[-1] if seen else None)
    return SeenImage(
        image=image,
        inputs=inputs,
        views=seen,
        generator=model.proposal_generator,
        merging=merging,
        min_scores=merging.min_scores if merging else None,
        iou_across_classes=predictor.iou_across_classes,
        class_names=predictor.class_names,
    )


def _seen(model: FCOS, batch: list[View], last: SeenView | None) -> list[SeenView]:
    """Views of one size, which go through the network together; `last` is the one before them."""
    images = model.preprocess(inputs_of(batch))
    generator = model.proposal_generator
    grids, outputs = generator.predict(images, model.backbone(images.tensor))
    first = last.first_location + last.num_locations if last else 0
    seen = []
    with torch.autocast(images.tensor.device.type, enabled=False):
        for view, predictions in zip(batch, generator.selectable(grids, outputs), strict=True):
            seen.append(
                SeenView(view=view, predictions=predictions, grids=grids, first_location=first)
            )
            first += seen[-1].num_locations
    return seen
