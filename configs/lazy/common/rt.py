"""FCOS-RT: three levels, short side 512, 4x schedule; the body is a ResNet-50."""

from .coco import dataloader
from .fcos import model
from .train import lr_multiplier, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.backbone.top_block = None
model.proposal_generator.head.num_levels = 3
model.proposal_generator.in_features = ["p3", "p4", "p5"]
model.proposal_generator.strides = [8, 16, 32]
model.proposal_generator.assigner.size_bounds = [64, 128]

dataloader.train.mapper.augmentations[0].short_edge_length = list(range(256, 609, 32))
dataloader.train.mapper.augmentations[0].max_size = 900
dataloader.test.mapper.augmentations[0].short_edge_length = 512
dataloader.test.mapper.augmentations[0].max_size = 736

train.max_iter = 360000
lr_multiplier.scheduler.num_updates = 360000
lr_multiplier.scheduler.milestones = [300000, 340000]
lr_multiplier.warmup_length = 1000 / 360000
