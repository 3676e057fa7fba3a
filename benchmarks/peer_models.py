"""The FCOS of torchvision and of detectron2 around the body and the neck of one of our configs."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from detectron2.modeling.backbone import Backbone
from detectron2.modeling.meta_arch.fcos import FCOS as Detectron2FCOS
from detectron2.modeling.meta_arch.fcos import FCOSHead as Detectron2Head
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn
from torchvision.models.detection import FCOS as TorchvisionFCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead as TorchvisionHead

from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.engine.run_parts import Run
from fcos_d2.engine.run_yaml import is_yaml
from fcos_d2.engine.trainable import choose_what_learns
from fcos_d2.modeling.backbone import weights_come_later

SCORE_THRESH = 0.05  # of both: the metric wants weak detections, too; theirs is 0.2


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the detectors have in common."""

    backbone: Backbone  # body and neck, with the weights to start from
    features: list[str]  # of it, finest first
    num_convs: int  # in each tower of the head
    num_classes: int
    max_detections: int  # of an image
    mean: list[float]  # of the input, grey levels
    std: list[float]

    @property
    def strides(self) -> list[int]:
        """Of the features, px."""
        shapes = self.backbone.output_shape()
        return [shapes[name].stride for name in self.features]


def parts_of(run: Run) -> Parts:
    """Those of a run, with the weights that it starts from.

    Raises:
        ValueError: a LazyConfig.
    """
    model = starting_model(run)
    if not is_yaml(run.config):
        raise ValueError(f"the peers need a yaml config, got one of the kind {run.kind!r}")
    keys, fcos = run.config.MODEL, run.config.MODEL.FCOS
    return Parts(
        backbone=model.backbone,
        features=list(fcos.IN_FEATURES),
        num_convs=fcos.NUM_SHARE_CONVS + fcos.NUM_CLS_CONVS,
        num_classes=fcos.NUM_CLASSES,
        max_detections=fcos.POST_NMS_TOPK_TEST,
        mean=list(keys.PIXEL_MEAN),
        std=list(keys.PIXEL_STD),
    )


def starting_model(run: Run) -> nn.Module:
    """Our detector before its first step."""
    with weights_come_later(bool(run.weights)):
        model = run.build_model()
    choose_what_learns(model, from_scratch=not run.weights)
    FCOSCheckpointer(model).resume_or_load(run.weights, resume=False)
    return model


def detectron2_fcos(run: Run) -> nn.Module:
    """detectron2's FCOS, with group norms, and as many convolutions as ours."""
    parts = parts_of(run)
    shapes = [parts.backbone.output_shape()[name] for name in parts.features]
    head = Detectron2Head(
        input_shape=shapes,
        conv_dims=[shapes[0].channels] * parts.num_convs,
        num_classes=parts.num_classes,
        norm="GN",
        prior_prob=0.01,
    )
    return Detectron2FCOS(
        backbone=parts.backbone,
        head=head,
        head_in_features=parts.features,
        num_classes=parts.num_classes,
        test_score_thresh=SCORE_THRESH,
        max_detections_per_image=parts.max_detections,
        pixel_mean=parts.mean,
        pixel_std=parts.std,
    )


def torchvision_fcos(run: Run) -> nn.Module:
    """torchvision's FCOS, with its anchors as large as the strides, as it wants them."""
    return TorchvisionDetector(parts_of(run))


class TorchvisionDetector(nn.Module):
    """torchvision's FCOS, which takes and gives what detectron2's detectors do."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        strides = parts.strides
        channels = parts.backbone.output_shape()[parts.features[0]].channels
        anchors = AnchorGenerator(tuple((x,) for x in strides), ((1.0,),) * len(strides))
        self.detector = TorchvisionFCOS(
            _Features(parts.backbone, parts.features, channels),
            parts.num_classes,
            image_mean=[x / 255 for x in parts.mean],
            image_std=[x / 255 for x in parts.std],
            anchor_generator=anchors,
            head=TorchvisionHead(channels, 1, parts.num_classes, parts.num_convs),
            score_thresh=SCORE_THRESH,
            detections_per_img=parts.max_detections,
            size_divisible=max(parts.backbone.size_divisibility, strides[-1]),
        )
        # The images have the size of the network already.
        self.detector.transform.resize = lambda image, target: (image, target)

    def forward(self, inputs: list[dict]) -> dict[str, Tensor] | list[dict]:
        """As detectron2's detectors: losses in training, else the boxes of each image."""
        device = self.detector.head.classification_head.cls_logits.weight.device
        images = [x["image"].to(device).float() / 255 for x in inputs]
        if self.training:
            return self.detector(images, [_target(x["instances"], device) for x in inputs])
        found = zip(inputs, images, self.detector(images), strict=True)
        return [{"instances": _instances(x, image, output)} for x, image, output in found]


class _Features(nn.Module):
    """A backbone as torchvision wants it."""

    def __init__(self, backbone: Backbone, features: list[str], channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.features = features
        self.out_channels = channels

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        found = self.backbone(images)
        return OrderedDict((name, found[name]) for name in self.features)


def _target(truth: Instances, device: torch.device) -> dict[str, Tensor]:
    return {
        "boxes": truth.gt_boxes.tensor.to(device),
        "labels": truth.gt_classes.to(device),
    }


def _instances(given: dict, image: Tensor, found: dict[str, Tensor]) -> Instances:
    """In px of the original image."""
    height, width = image.shape[-2:]
    result = Instances((height, width))
    result.pred_boxes = Boxes(found["boxes"])
    result.scores = found["scores"]
    result.pred_classes = found["labels"]
    return detector_postprocess(result, given.get("height", height), given.get("width", width))


MODELS = {"torchvision": torchvision_fcos, "detectron2": detectron2_fcos}
