from ..common.coco import dataloader
from ..common.fcos import model
from ..common.train_2x import lr_multiplier, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.backbone.bottom_up.stages.depth = 101
model.proposal_generator.criterion.box_quality = "iou"
train.init_checkpoint = "detectron2://ImageNetPretrained/MSRA/R-101.pkl"
