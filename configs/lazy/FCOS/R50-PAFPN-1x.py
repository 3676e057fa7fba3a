from fcos_d2.modeling import PAFPN

from ..common.coco import dataloader
from ..common.fcos import model
from ..common.train import lr_multiplier, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.backbone._target_ = PAFPN

dataloader.train.mapper.augmentations[0].short_edge_length = [800]
