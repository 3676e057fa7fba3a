from detectron2.config import LazyCall as L
from fvcore.common.param_scheduler import CosineParamScheduler
from torch.optim import AdamW

from fcos_d2.data.augmentation_color import RandomBrightness, RandomContrast

from ..common.coco import dataloader
from ..common.fcos import model
from ..common.train import lr_multiplier, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

# torchvision's FCOS.
model.backbone.bottom_up.stages.stride_in_1x1 = False
model.backbone.bottom_up.freeze_at = 3
generator = model.proposal_generator
generator.head.use_scale = False
generator.location_rule = "corner"
generator.assigner.inclusive_size_ranges = False
generator.criterion.iou_smoothing = 0.0
generator.criterion.centerness_weighted_loc = False
generator.test_selection.score_thresh = 0.04
generator.test_selection.thresh_with_quality = True
generator.test_selection.clip_before_nms = True
model.pixel_mean = [123.675, 116.28, 103.53]
model.pixel_std = [58.395, 57.12, 57.375]
dataloader.train.mapper.image_format = dataloader.test.mapper.image_format = "RGB"

dataloader.train.mapper.augmentations[0].short_edge_length = list(range(384, 609, 32))
dataloader.train.mapper.augmentations[0].max_size = 900
dataloader.test.mapper.augmentations[0].short_edge_length = 512
dataloader.test.mapper.augmentations[0].max_size = 736
dataloader.train.mapper.augmentations += [
    L(RandomBrightness)(intensity_min=0.8, intensity_max=1.2),
    L(RandomContrast)(intensity_min=0.8, intensity_max=1.2),
]
dataloader.train.total_batch_size = 8

optimizer._target_ = AdamW
del optimizer.momentum
optimizer.fused = True
optimizer.lr = 0.0001
optimizer.weight_decay = 0.05

lr_multiplier.scheduler = L(CosineParamScheduler)(start_value=1, end_value=0)
lr_multiplier.warmup_length = 100 / 2000

train.init_checkpoint = "https://download.pytorch.org/models/fcos_resnet50_fpn_coco-99b0c9b7.pth"
train.max_iter = 2000
train.ema.enabled = True
train.ema.decay = 0.998
train.max_grad_norm = 35.0
train.checkpointer.period = 500
train.eval_period = 200
train.early_stop_patience = 5
