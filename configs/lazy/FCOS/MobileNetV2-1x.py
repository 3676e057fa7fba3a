from detectron2.config import LazyCall as L

from fcos_d2.modeling import MobileNetV2

from ..common.coco import dataloader
from ..common.fcos import model
from ..common.train import lr_multiplier, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.backbone.bottom_up = L(MobileNetV2)(out_features=["res3", "res4", "res5"], norm="SyncBN")
model.pixel_mean = [123.675, 116.28, 103.53]
model.pixel_std = [58.395, 57.12, 57.375]
dataloader.train.mapper.image_format = "RGB"
dataloader.test.mapper.image_format = "RGB"
train.init_checkpoint = "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth"

dataloader.train.mapper.augmentations[0].short_edge_length = [800]
