import detectron2.data.transforms as T
from detectron2.config import LazyCall as L
from torch.optim import AdamW

from fcos_d2.data.augmentation import ResizeScale
from fcos_d2.data.augmentation_square import CropOrPadToSquare
from fcos_d2.engine.optimizer import flat_cosine

from ..common.coco import dataloader
from ..common.fcos import model
from ..common.train import lr_multiplier, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.backbone.bottom_up.stem.norm = "SyncBN"
model.backbone.bottom_up.stages.norm = "SyncBN"
model.backbone.norm = "SyncBN"

dataloader.train.mapper.augmentations = [
    L(ResizeScale)(min_scale=0.1, max_scale=2.0, target_height=1024, target_width=1024),
    L(CropOrPadToSquare)(side=1024),
    L(T.RandomFlip)(horizontal=True),
]
dataloader.train.mapper.min_visible = 0.1
dataloader.train.total_batch_size = 32

optimizer._target_ = AdamW
del optimizer.momentum
optimizer.fused = True
optimizer.lr = 0.0002
optimizer.weight_decay = 0.05

lr_multiplier.scheduler = L(flat_cosine)(flat_share=0.5, end_value=0.0)
lr_multiplier.warmup_length = 1000 / 132000

train.max_iter = 132000
train.ema.enabled = True
train.max_grad_norm = 35.0
train.eval_period = train.checkpointer.period = 7330
