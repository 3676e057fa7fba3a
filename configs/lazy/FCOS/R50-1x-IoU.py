from ..common.coco import dataloader
from ..common.fcos import model
from ..common.train import lr_multiplier, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.proposal_generator.criterion.box_quality = "iou"

dataloader.train.mapper.augmentations[0].short_edge_length = [800]
