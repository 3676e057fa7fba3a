import detectron2.data.transforms as T
from detectron2.config import LazyCall as L
from fvcore.common.param_scheduler import CosineParamScheduler
from torch.optim import AdamW

from ..common.rt import dataloader, lr_multiplier, model, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.backbone.bottom_up.freeze_at = 3

dataloader.train.mapper.augmentations[0].short_edge_length = list(range(384, 609, 32))
dataloader.train.mapper.augmentations += [
    L(T.RandomBrightness)(intensity_min=0.8, intensity_max=1.2),
    L(T.RandomContrast)(intensity_min=0.8, intensity_max=1.2),
]
dataloader.train.total_batch_size = 8

optimizer._target_ = AdamW
del optimizer.momentum
optimizer.lr = 0.0001
optimizer.weight_decay = 0.05

lr_multiplier.scheduler = L(CosineParamScheduler)(start_value=1, end_value=0)
lr_multiplier.warmup_length = 100 / 2000

train.init_checkpoint = "zoo://FCOS-RT/R50"
train.max_iter = 2000
train.ema.enabled = True
train.ema.decay = 0.998
train.max_grad_norm = 35.0
train.checkpointer.period = 500
train.eval_period = 200
train.early_stop_patience = 5
