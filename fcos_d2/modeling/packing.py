"""detectron2's `Instances` unpacked and packed."""

import torch
from detectron2.structures import Boxes, Instances
from torch import Tensor

from .matching import Truth
from .selection import Detections


def unpack_truth(
    gt_instances: list[Instances],
    like: Tensor,
    class_agnostic: bool = False,
) -> Truth:
    """The ground truth of N images, in two copies where it is not on the device yet.

    Args:
        gt_instances: N, with gt_boxes and gt_classes.
        like: whose device and dtype the boxes get.
        class_agnostic: all classes are 0.
    """
    boxes = torch.cat([x.gt_boxes.tensor for x in gt_instances])
    classes = torch.cat([x.gt_classes for x in gt_instances]).to(like.device)
    classes = torch.zeros_like(classes) if class_agnostic else classes
    return Truth(boxes.to(like), classes, [len(x) for x in gt_instances])


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
