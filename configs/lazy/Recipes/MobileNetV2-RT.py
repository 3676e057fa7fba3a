from detectron2.config import LazyCall as L
from fvcore.common.param_scheduler import CosineParamScheduler
from torch.optim import AdamW

from fcos_d2.modeling import MobileNetV2

from ..common.rt import dataloader, lr_multiplier, model, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.backbone.bottom_up = L(MobileNetV2)(out_features=["res3", "res4", "res5"], norm="SyncBN")
model.backbone.out_channels = 96
model.backbone.norm = "SyncBN"
model.proposal_generator.head.in_channels = 96
model.proposal_generator.head.num_cls_convs = 2
model.proposal_generator.head.num_box_convs = 2
model.proposal_generator.head.norm = "SyncBN"
model.pixel_mean = [123.675, 116.28, 103.53]
model.pixel_std = [58.395, 57.12, 57.375]

dataloader.train.mapper.image_format = "RGB"
dataloader.train.mapper.augmentations[0].short_edge_length = list(range(224, 417, 32))
dataloader.train.mapper.augmentations[0].max_size = 640
dataloader.train.total_batch_size = 32
dataloader.test.mapper.image_format = "RGB"
dataloader.test.mapper.augmentations[0].short_edge_length = 320
dataloader.test.mapper.augmentations[0].max_size = 448

optimizer._target_ = AdamW
del optimizer.momentum
optimizer.fused = True
optimizer.lr = 0.0005
optimizer.weight_decay = 0.05

lr_multiplier.scheduler = L(CosineParamScheduler)(start_value=1, end_value=0)
lr_multiplier.warmup_length = 1000 / 180000

train.init_checkpoint = "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth"
train.max_iter = 180000
train.ema.enabled = True
train.max_grad_norm = 35.0
train.checkpointer.period = 10000
