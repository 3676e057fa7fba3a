from ..common.two_stage import dataloader, lr_multiplier, optimizer, train
from ..common.two_stage import mask_rcnn as model

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

for part in ("mask_in_features", "mask_pooler", "mask_head"):
    model.roi_heads[part] = None
