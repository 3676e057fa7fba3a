from detectron2.config import LazyCall as L
from detectron2.modeling.backbone import BasicStem, ResNet
from fvcore.common.param_scheduler import CosineParamScheduler
from torch.optim import AdamW

from fcos_d2.data.mixing import ImageMixing

from ..common.rt import dataloader, lr_multiplier, model, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.backbone.bottom_up = L(ResNet)(
    stem=L(BasicStem)(in_channels=3, out_channels=64, norm="BN"),
    stages=L(ResNet.make_default_stages)(depth=18, norm="BN"),
    out_features=["res3", "res4", "res5"],
    freeze_at=0,
)
model.backbone.out_channels = 64
model.proposal_generator.head.in_channels = 64
model.proposal_generator.assigner.size_bounds = [32, 64]  # the published ones are for 512 px
model.proposal_generator.head.num_cls_convs = 2
model.proposal_generator.head.num_box_convs = 2
model.pixel_std = [57.375, 57.12, 58.395]

dataloader.train.dataset.names = []  # --train-data and --val-data say which
dataloader.test.dataset.names = []
dataloader.train.mapper.augmentations[0].short_edge_length = [192, 208, 224, 240, 256]
dataloader.train.mapper.augmentations[0].max_size = 400
dataloader.train.mapper.mixing = L(ImageMixing)(
    mosaic_prob=0.5, close_share=0.2, max_iter="${train.max_iter}"
)
dataloader.train.mapper.test_resize = "${dataloader.test.mapper.augmentations[0]}"
dataloader.train.total_batch_size = 8
dataloader.train.num_workers = 2
dataloader.test.mapper.augmentations[0].short_edge_length = 224
dataloader.test.mapper.augmentations[0].max_size = 400
dataloader.test.num_workers = 2

optimizer._target_ = AdamW
del optimizer.momentum
optimizer.fused = True
optimizer.lr = 0.001
optimizer.weight_decay = 0.05

lr_multiplier.scheduler = L(CosineParamScheduler)(start_value=1, end_value=0)
lr_multiplier.warmup_length = 50 / 1000

train.init_checkpoint = ""
train.max_iter = 1000
train.ema.enabled = True
train.ema.decay = 0.995
train.max_grad_norm = 35.0
train.checkpointer.period = 250
train.eval_period = 250
