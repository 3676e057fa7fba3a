from detectron2.config import LazyCall as L

from fcos_d2.modeling import make_bottleneck_stages

from ..common.coco import dataloader
from ..common.fcos import model
from ..common.train_2x import lr_multiplier, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.backbone.bottom_up.stages = L(make_bottleneck_stages)(
    depth=101,
    num_groups=32,
    width_per_group=8,
    deform_on_per_stage=[False, False, True, True],
    deform_modulated=True,
)
model.proposal_generator.head.deformable_last_conv = True
model.proposal_generator.criterion.box_quality = "iou"
model.pixel_std = [57.375, 57.12, 58.395]
train.init_checkpoint = "detectron2://ImageNetPretrained/FAIR/X-101-32x8d.pkl"
