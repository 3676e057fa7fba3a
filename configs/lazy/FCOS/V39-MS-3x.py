from detectron2.config import LazyCall as L

from fcos_d2.modeling import VoVNet

from ..common.coco import dataloader
from ..common.fcos import model
from ..common.train_3x import lr_multiplier, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.backbone.bottom_up = L(VoVNet)(
    conv_body="V-39-eSE", out_features=["stage3", "stage4", "stage5"]
)
model.backbone.in_features = ["stage3", "stage4", "stage5"]
train.init_checkpoint = "https://www.dropbox.com/s/q98pypf96rhtd8y/vovnet39_ese_detectron2.pth?dl=1"
