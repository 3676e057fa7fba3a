"""One image looked at several times, in tiles, sizes and mirrored, and merged to one answer.

Evaluation, the predictor and the demo all go through `MultiViewModel`.
"""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from detectron2.data import transforms as T
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..data.mapper import FCOSDatasetMapper
from ..modeling.meta_arch import detect_by_shape
from ..modeling.selection import Detections
from .slicing import Region, Slicing, merge
from .tta import FlipsAndScales, vote

MAX_BATCH = 8  # views that go through the network at once: bounds the memory


@dataclass(frozen=True)
class ViewSettings:
    """How often, and in which parts, each test image is looked at; None: not so."""

    slicing: Slicing | None = None
    augmentation: FlipsAndScales | None = None

    @property
    def several(self) -> bool:
        """Whether there is more than the plain view."""
        return self.slicing is not None or self.augmentation is not None

    def loader_mapper(self, mapper: FCOSDatasetMapper) -> FCOSDatasetMapper:
        """The mapper that gives the wrapped model its input: images in their original size."""
        return with_augmentations(mapper, []) if self.several else mapper

    def wrap(self, model: nn.Module, mapper: FCOSDatasetMapper) -> nn.Module:
        """The model that merges the views; where there is only one, `model` itself, or around a
        two-stage model what keeps unequal images apart.

        Args:
            model: a detector, perhaps within DistributedDataParallel.
            mapper: that of the plain evaluation; each view is resized as it resizes images.
        """
        if isinstance(model, DistributedDataParallel):
            model = model.module  # the processes have different numbers of batches
        if not self.several:
            return ModelByShape(model) if hasattr(model, "roi_heads") else model
        nms_thresh, max_detections = selection_limits(model)
        mappers = [mapper]
        if self.augmentation is not None:
            variants = self.augmentation.variants(list(mapper.augmentations.augs))
            mappers = [with_augmentations(mapper, variant) for variant in variants]
        return MultiViewModel(
            model=model,
            mappers=mappers,
            slicing=self.slicing,
            flip=self.augmentation is not None and self.augmentation.flip,
            nms_thresh=nms_thresh,
            max_detections=max_detections,
        )


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """All that a config says of views, with what counts only once they are switched on."""

    slice_size: int = 0  # px; 0: no slices
    slice_overlap: float = 0.2
    full_image: bool = True
    tta: bool = False
    tta_sizes: tuple[int, ...] = ()
    tta_max_size: int = 4000
    tta_flip: bool = True

    def settings(self) -> ViewSettings:
        """Raises ValueError for slices or augmentations that cannot be."""
        slicing, augmentation = None, None
        if self.slice_size:
            slicing = Slicing(self.slice_size, self.slice_overlap, self.full_image)
        if self.tta:
            augmentation = FlipsAndScales(self.tta_sizes, self.tta_max_size, self.tta_flip)
        return ViewSettings(slicing, augmentation)


class ModelByShape(nn.Module):
    """A detectron2 model that runs on images of one padded size at a time, as FCOS does."""

    def __init__(self, model: nn.Module) -> None:
        """`model` has a backbone and gives boxes for a list of detectron2's inputs."""
        super().__init__()
        self.model = model
        self.training = model.training  # evaluation puts the mode back to what it finds here

    def forward(self, batched_inputs: list[dict]) -> list[dict]:
        """N dicts of detectron2 -> N dicts with "instances", in the same order."""
        backbone: Any = self.model.backbone
        return detect_by_shape(self.model, batched_inputs, backbone.size_divisibility)


class View(NamedTuple):
    """One input of the network."""

    image: Tensor  # (3, h, w), resized
    region: Region  # what it shows, px of the original image
    flipped: bool  # mirrored left to right


class MultiViewModel(nn.Module):
    """A detector that looks at each image several times."""

    def __init__(
        self,
        *,
        model: nn.Module,
        mappers: list[FCOSDatasetMapper],
        slicing: Slicing | None,
        flip: bool,
        nms_thresh: float,
        max_detections: int,
    ) -> None:
        """
        Args:
            model: gives boxes for a list of detectron2's inputs.
            mappers: each resizes every region once.
            slicing: the regions; None for the whole image.
            flip: add the mirror image of every view.
            nms_thresh: IoU above which the weaker of two boxes of a class goes; <= 0: none goes.
            max_detections: most detections of one region; <= 0: all.

        The attribute `min_scores` holds the lowest score that comes out, of each class; None: any.
        """
        super().__init__()
        self.model = model
        self.mappers = mappers
        self.slicing = slicing
        self.flip = flip
        self.nms_thresh = nms_thresh
        self.max_detections = max_detections
        self.min_scores: tuple[float, ...] | None = None
        self.training = model.training  # evaluation puts the mode back to what it finds here

    @property
    def averages(self) -> bool:
        """Whether scores are means over several views of the same."""
        return self.flip or len(self.mappers) > 1

    def forward(self, batched_inputs: list[dict]) -> list[dict]:
        """
        Args:
            batched_inputs: N dicts in detectron2's format, with image (3, H, W) in its original
                size, uint8, in the channel order of the model.

        Returns:
            N dicts with "instances": pred_boxes, scores and pred_classes, as the model gives
            them, best first.
        """
        return [{"instances": self._detect(inputs)} for inputs in batched_inputs]

    def _detect(self, inputs: dict) -> Instances:
        image_size = tuple(inputs["image"].shape[1:])
        regions = self.regions(image_size)
        by_region: dict[Region, list[Detections]] = {region: [] for region in regions}
        for views in self.batches(inputs["image"], regions):
            for view, output in zip(views, self.model(inputs_of(views)), strict=True):
                by_region[view.region].append(in_image(output["instances"], view))
        found = {region: vote(each, self.nms_thresh) for region, each in by_region.items()}
        merged = merge(found, image_size, self.nms_thresh, max_detections=0)
        # Before the cap: what scores too little takes no place.
        merged = merged.above(self.min_scores).best(self.max_detections * len(regions))
        instances = Instances(
            image_size,
            pred_boxes=Boxes(merged.boxes),
            scores=merged.scores,
            pred_classes=merged.classes,
        )
        size = inputs.get("height", image_size[0]), inputs.get("width", image_size[1])
        return detector_postprocess(instances, *size)

    def regions(self, image_size: tuple[int, int]) -> list[Region]:
        """The parts of an image of (h, w) px that are looked at."""
        if self.slicing is not None:
            return self.slicing.regions(image_size)
        return [Region(0, 0, image_size[1], image_size[0])]

    def batches(self, image: Tensor, regions: list[Region]) -> Iterator[list[View]]:
        """The views of an image (3, H, W), as they go through the network."""
        return _batches(self._views(image.permute(1, 2, 0).cpu().numpy(), regions))

    def _views(self, image: np.ndarray, regions: list[Region]) -> Iterator[View]:
        for mapper in self.mappers:
            for region in regions:
                part = image[region.y0 : region.y1, region.x0 : region.x1]
                resized, _ = mapper.to_input(part)
                yield View(resized, region, flipped=False)
                if self.flip:
                    yield View(resized.flip(2), region, flipped=True)


def last_box_predictor(roi_heads: Any) -> Any:
    """The part of a second stage that selects its boxes; a cascade's last stage does so."""
    predictor = roi_heads.box_predictor
    return predictor[-1] if isinstance(predictor, nn.ModuleList) else predictor


def selection_limits(model: Any) -> tuple[float, int]:
    """IoU threshold and largest number of detections of a detector's last stage."""
    if hasattr(model, "roi_heads"):
        predictor = last_box_predictor(model.roi_heads)
        return predictor.test_nms_thresh, predictor.test_topk_per_image
    selection = model.proposal_generator.test_selection
    return selection.nms_thresh, selection.max_detections


def in_image(found: Instances, view: View) -> Detections:
    """Detections in px of a region's upright or mirrored picture, in px of the image."""
    for name in ("pred_masks", "pred_keypoints"):
        if found.has(name):
            raise ValueError(
                f"slices and test-time augmentation merge boxes only, but the model gives {name}: "
                "switch them off (`slice_size=0`, `tta=False`), or its masks"
            )
    region, boxes = view.region, found.pred_boxes.tensor
    if view.flipped:
        width = region.x1 - region.x0
        x0, y0, x1, y1 = boxes.unbind(dim=1)
        boxes = torch.stack([width - x1, y0, width - x0, y1], dim=1)
    boxes = boxes + boxes.new_tensor([region.x0, region.y0] * 2)
    nowhere = torch.full_like(found.pred_classes, -1)  # of no one location
    return Detections(boxes, found.scores, found.pred_classes, nowhere)


def inputs_of(views: list[View]) -> list[dict]:
    """Those of the detector."""
    return [
        {"image": v.image, "height": v.region.y1 - v.region.y0, "width": v.region.x1 - v.region.x0}
        for v in views
    ]


def _batches(views: Iterable[View]) -> Iterator[list[View]]:
    """Up to MAX_BATCH views of equal size in a row, so that padding cannot change what is found."""
    batch: list[View] = []
    for view in views:
        if batch and (len(batch) == MAX_BATCH or view.image.shape != batch[0].image.shape):
            yield batch
            batch = []
        batch.append(view)
    if batch:
        yield batch


def with_augmentations(
    mapper: FCOSDatasetMapper, augmentations: list[T.Augmentation]
) -> FCOSDatasetMapper:
    """A mapper with these augmentations instead of its own."""
    other = copy.copy(mapper)
    other.augmentations = T.AugmentationList(augmentations)
    return other
