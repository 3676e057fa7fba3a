"""detectron2's `Instances` unpacked and packed."""

import torch
from detectron2.structures import Boxes, Instances
from torch import Tensor

from .selection import Detections


def unpack_truth(
    gt_instances: list[Instances], class_agnostic: bool = False
) -> list[tuple[Tensor, Tensor]]:
    """gt_boxes (M, 4) and gt_classes (M,) of N images.

    Args:
        gt_instances: N, with these fields.
        class_agnostic: all classes are 0.
    """
    return [
        (x.gt_boxes.tensor, torch.zeros_like(x.gt_classes) if class_agnostic else x.gt_classes)
        for x in gt_instances
    ]


def truth_on(
    device: torch.device, truth: list[tuple[Tensor, Tensor]]
) -> list[tuple[Tensor, Tensor]]:
    """`unpack_truth` on a device, in two copies where it is not there yet.

    A first stage gets its ground truth on the device of the model.
    """
    if all(boxes.device == device for boxes, _ in truth):
        return truth
    counts = [len(boxes) for boxes, _ in truth]
    boxes, classes = (torch.cat(x).to(device).split(counts) for x in zip(*truth, strict=True))
    return list(zip(boxes, classes, strict=True))


def pack_detections(
    detections: Detections,
    image_size: tuple[int, int],
    as_proposals: bool = False,
    features: list[Tensor] | None = None,
) -> Instances:
    """What a detector returns, or a first stage.

    Args:
        detections: of one image.
        image_size: height and width, px.
        as_proposals: with the fields proposal_boxes and objectness_logits of a first stage, not
            pred_boxes, scores and pred_classes.
        features: L tensors (Hi * Wi, C), of which those at the locations of the boxes become the
            field box_features (D, C); None: there is no such field.
    """
    instances = Instances(image_size)
    if as_proposals:
        instances.proposal_boxes = Boxes(detections.boxes)
        instances.objectness_logits = detections.scores.logit(eps=1e-6)
    else:
        instances.pred_boxes = Boxes(detections.boxes)
        instances.scores = detections.scores
        instances.pred_classes = detections.classes
    if features is not None:
        instances.box_features = torch.cat(features)[detections.location_idxs]
    return instances
