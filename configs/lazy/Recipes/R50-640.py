import detectron2.data.transforms as T
from detectron2.config import LazyCall as L
from fvcore.common.param_scheduler import CosineParamScheduler
from torch.optim import Adam

from fcos_d2.data.augmentation import FastResizeShortestEdge, ResizeShortestEdge
from fcos_d2.data.augmentation_color import (
    RandomBrightness,
    RandomContrast,
    RandomHueSaturation,
)
from fcos_d2.data.augmentation_square import CropOrPadToSquare
from fcos_d2.data.mixing import ImageMixing

from ..common.coco import dataloader
from ..common.fcos import model
from ..common.train import lr_multiplier, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.backbone.bottom_up.stem.norm = "SyncBN"
model.backbone.bottom_up.stages.norm = "SyncBN"
model.backbone.norm = "SyncBN"
model.proposal_generator.head.norm = "SyncBN"

dataloader.train.mapper.augmentations = [
    L(FastResizeShortestEdge)(short_edge_length=(640, 640), max_size=640),
    L(CropOrPadToSquare)(side=640),
    L(T.RandomFlip)(horizontal=True),
    L(RandomBrightness)(intensity_min=0.8, intensity_max=1.2),
    L(RandomContrast)(intensity_min=0.8, intensity_max=1.2),
    L(RandomHueSaturation)(hue=0.02, saturation=0.5, image_format="BGR"),
]
dataloader.train.mapper.mixing = L(ImageMixing)(
    mosaic_prob=0.5,
    mixup_prob=0.15,
    close_share=0.0833,  # 2 of 24 epochs
    max_iter="${train.max_iter}",
)
dataloader.train.mapper.test_resize = "${dataloader.test.mapper.augmentations[0]}"
dataloader.train.total_batch_size = 64
dataloader.test.mapper.augmentations = [
    L(ResizeShortestEdge)(short_edge_length=(640, 640), max_size=640)
]

optimizer._target_ = Adam
del optimizer.momentum
optimizer.fused = True
optimizer.lr = 0.0004

lr_multiplier.scheduler = L(CosineParamScheduler)(start_value=1, end_value=0)
lr_multiplier.warmup_length = 1000 / 44000

train.max_iter = 44000
train.ema.enabled = True
train.amp.enabled = True
train.max_grad_norm = 35.0
train.eval_period = train.checkpointer.period = 3664
