from detectron2.config import LazyCall as L

from fcos_d2.data.augmentation_geometry import RandomCropWithBoxes

from ..common.coco import dataloader
from ..common.fcos import model
from ..common.train import lr_multiplier, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.backbone.bottom_up.out_features = ["res2", "res3", "res4", "res5"]
model.backbone.in_features = ["res2", "res3", "res4", "res5"]
model.backbone.top_block.num_levels = 1
model.proposal_generator.in_features = ["p2", "p3", "p4", "p5", "p6"]
model.proposal_generator.strides = [4, 8, 16, 32, 64]
model.proposal_generator.assigner.size_bounds = [32, 64, 128, 256]

dataloader.train.mapper.augmentations[0].short_edge_length = [800, 896, 992]
dataloader.train.mapper.augmentations.insert(0, L(RandomCropWithBoxes)(prob=0.5, min_scale=0.4))
dataloader.train.mapper.min_visible = 0.2

train.ema.enabled = True
train.max_grad_norm = 35.0
