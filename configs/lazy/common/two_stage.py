"""Faster R-CNN and Mask R-CNN whose proposals come from a class-agnostic FCOS instead of an RPN."""

from detectron2 import model_zoo
from detectron2.config import LazyCall as L
from detectron2.modeling import GeneralizedRCNN

from fcos_d2.modeling import Selection

from .coco import dataloader
from .fcos import model as fcos
from .train import lr_multiplier, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "mask_rcnn", "optimizer", "train"]

mask_rcnn = L(GeneralizedRCNN)(
    backbone=fcos.backbone,
    proposal_generator=fcos.proposal_generator,
    roi_heads=model_zoo.get_config("common/models/mask_rcnn_fpn.py").model.roi_heads,
    pixel_mean=fcos.pixel_mean,
    pixel_std=fcos.pixel_std,
    input_format="BGR",
)

generator = mask_rcnn.proposal_generator
generator.head.num_classes = 1  # objects of any class
generator.train_selection = L(Selection)(score_thresh=0.0, nms_thresh=0.7, max_detections=1000)
generator.test_selection = L(Selection)(score_thresh=0.0, nms_thresh=0.7, max_detections=300)

heads = mask_rcnn.roi_heads
heads.box_in_features = heads.mask_in_features = ["p3", "p4", "p5"]
for pooler in (heads.box_pooler, heads.mask_pooler):
    pooler.scales = [1 / 8, 1 / 16, 1 / 32]

dataloader.train.mapper.augmentations[0].short_edge_length = [800]
