from ..common.two_stage import dataloader, lr_multiplier, optimizer, train
from ..common.two_stage import mask_rcnn as model

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

dataloader.train.mapper.use_instance_mask = True
