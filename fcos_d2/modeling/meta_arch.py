"""The detector: backbone, then head, losses and selection."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.backbone import Backbone
from detectron2.modeling.meta_arch import GeneralizedRCNN, ProposalNetwork
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import ImageList
from torch import Tensor

from fcos_deploy.grouping import groups_of_one_canvas

from .proposal_generator import FCOSProposalGenerator


@META_ARCH_REGISTRY.register()
class FCOS(ProposalNetwork):
    """Fully convolutional one-stage detector (arXiv 1904.01355, 2006.09214)."""

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        proposal_generator: FCOSProposalGenerator,
        pixel_mean: list[float],
        pixel_std: list[float],
        input_format: str | None = None,
    ) -> None:
        """
        Args:
            backbone: gives the features that `proposal_generator` names.
            proposal_generator: trains on these features and makes boxes of them.
            pixel_mean, pixel_std: per channel, in the channel order of the input, grey levels.
            input_format: that order, "BGR" or "RGB". Nothing is reordered by it; it serves to
                recognise weights that were made for the other order. None: unknown.

        Raises:
            ValueError: a generator that yields proposals for a second stage.
        """
        if proposal_generator.yield_proposals:
            raise ValueError(
                "train_selection (MODEL.FCOS.YIELD_PROPOSAL) is for FCOS as the first stage of a "
                "two-stage detector; the FCOS meta-architecture needs it None (False)"
            )
        super().__init__(
            backbone=backbone,
            proposal_generator=proposal_generator,
            pixel_mean=pixel_mean,
            pixel_std=pixel_std,
        )
        self.input_format = input_format

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        return {**super().from_config(cfg), "input_format": cfg.INPUT.FORMAT}

    def forward(self, batched_inputs: list[dict]) -> dict[str, Tensor] | list[dict]:
        """
        Args:
            batched_inputs: N dicts in detectron2's format: image (3, H, W) in grey levels;
                instances with gt_boxes and gt_classes in training; height and width that the
                boxes shall be scaled to in inference (default: the image's own).

        Returns:
            The losses in training; in inference N dicts with "instances": pred_boxes, scores and
            pred_classes, clipped to the image, best first. They are what each image gives alone:
            only images of one padded size go through the network together.

        Raises:
            ValueError: ground truth is missing or cannot be learned; names the image.
        """
        if not self.training:
            step = self.backbone.size_divisibility
            return detect_by_shape(self.detect_padded, batched_inputs, step)
        for inputs in batched_inputs:
            check_ground_truth(inputs, self.proposal_generator.num_classes)
        images = self.preprocess(batched_inputs)
        features = self.backbone(images.tensor)
        # The ground truth stays on the CPU.
        gt_instances = [inputs["instances"] for inputs in batched_inputs]
        _, losses = self.proposal_generator(images, features, gt_instances)
        return losses

    def detect_padded(self, batched_inputs: list[dict]) -> list[dict]:
        """As `forward` in inference, but in one pass: images of unequal sizes are padded to the
        largest, and feel it.
        """
        images = self.preprocess(batched_inputs)
        detections, _ = self.proposal_generator(images, self.backbone(images.tensor))
        results = []
        for inputs, found in zip(batched_inputs, detections, strict=True):
            height, width = found.image_size
            size = inputs.get("height", height), inputs.get("width", width)
            results.append({"instances": detector_postprocess(found, *size)})
        return results

    def preprocess(self, batched_inputs: list[dict]) -> ImageList:
        """The images of a batch, normalised and padded to the largest, on the model's device."""
        # From pinned memory, as the training loader gives it, without waiting for the GPU.
        images = [x["image"].to(self.device, non_blocking=True) for x in batched_inputs]
        return self._padded([(x - self.pixel_mean) / self.pixel_std for x in images])

    def _padded(self, images: list[Tensor]) -> ImageList:
        return ImageList.from_tensors(
            images,
            self.backbone.size_divisibility,
            padding_constraints=self.backbone.padding_constraints,
        )

    def target_sums(self, batched_inputs: list[dict]) -> Tensor:
        """What the losses of a batch are divided by, from its ground truth alone.

        Args:
            batched_inputs: as in `forward`, in training.

        Returns:
            (L + 2,), see `Criterion.target_sums`; on the CPU, as the ground truth is.
        """
        # A tensor without memory tells the padded size as well as an image.
        padded = self._padded([torch.empty_like(x["image"], device="meta") for x in batched_inputs])
        gt_instances = [inputs["instances"] for inputs in batched_inputs]
        return self.proposal_generator.target_sums(tuple(padded.tensor.shape[-2:]), gt_instances)


def detect_by_shape(
    detect: Callable[[list[dict]], list[dict]], batched_inputs: list[dict], step: int
) -> list[dict]:
    """What `detect` finds, in the order of the inputs, called with images of one padded size.

    Args:
        detect: gives one dict for each of a list of inputs.
        batched_inputs: dicts with image (C, h, w).
        step: what the sides of a batch are multiples of, px; see `groups_of_one_canvas`.
    """
    sizes = [inputs["image"].shape[-2:] for inputs in batched_inputs]
    results: dict[int, dict] = {}
    for group in groups_of_one_canvas(sizes, step):
        results.update(zip(group, detect([batched_inputs[i] for i in group]), strict=True))
    return [results[i] for i in range(len(batched_inputs))]


# What the tools train and run: ours, or one of two stages with FCOS as the first.
AnyDetector: TypeAlias = FCOS | GeneralizedRCNN


@META_ARCH_REGISTRY.register()
def OneStageDetector(cfg: CfgNode) -> FCOS:
    """AdelaiDet's name of the meta-architecture, so that its yaml files build unchanged."""
    return FCOS(cfg)


def check_ground_truth(inputs: dict, num_classes: int) -> None:
    """Raises ValueError, naming the image, for ground truth that no location could learn.

    Args:
        inputs: one dict of the batch; its `instances` are still on the CPU, so looking at the
            values does not wait for a GPU.
        num_classes: K.
    """
    name = inputs.get("file_name", inputs.get("image_id", "without a name"))
    if "instances" not in inputs:
        raise ValueError(f"image {name} has no 'instances', which training needs")
    boxes, classes = inputs["instances"].gt_boxes.tensor, inputs["instances"].gt_classes
    bad = ~((boxes[:, 2:] > boxes[:, :2]).all(dim=1) & torch.isfinite(boxes).all(dim=1))
    if bad.any():
        raise ValueError(f"image {name}: box without area or not finite: {boxes[bad][0].tolist()}")
    bad = (classes < 0) | (classes >= num_classes)
    if bad.any():
        raise ValueError(
            f"image {name}: class {classes[bad][0].item()} is outside [0, {num_classes}); "
            "does MODEL.FCOS.NUM_CLASSES fit the dataset?"
        )
