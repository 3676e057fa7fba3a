from detectron2.config import LazyCall as L

from fcos_d2.modeling import DLA

from ..common.rt import dataloader, lr_multiplier, model, optimizer, train

__all__ = ["dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.backbone.bottom_up = L(DLA)(out_features=["level3", "level4", "level5"], norm="SyncBN")
model.backbone.in_features = ["level3", "level4", "level5"]
model.proposal_generator.head.num_share_convs = 4
model.proposal_generator.head.num_cls_convs = 0
model.proposal_generator.head.num_box_convs = 0
train.init_checkpoint = "https://huggingface.co/timm/dla34.in1k/resolve/main/model.safetensors"
