"""FCOS with a ResNet-50: the model of configs/FCOS/R50-1x.yaml."""

from detectron2.config import LazyCall as L
from detectron2.modeling.backbone import FPN, BasicStem, ResNet

from fcos_d2.modeling import (
    FCOS,
    Criterion,
    FCOSHead,
    FCOSProposalGenerator,
    FocalLoss,
    LossNormalizers,
    Selection,
    SizeRangeAssigner,
    TopLevels,
)

model = L(FCOS)(
    backbone=L(FPN)(
        bottom_up=L(ResNet)(
            stem=L(BasicStem)(in_channels=3, out_channels=64, norm="FrozenBN"),
            stages=L(ResNet.make_default_stages)(depth=50, stride_in_1x1=True, norm="FrozenBN"),
            out_features=["res3", "res4", "res5"],
            freeze_at=2,
        ),
        in_features=["res3", "res4", "res5"],
        out_channels=256,
        top_block=L(TopLevels)(in_channels=256, out_channels=256, num_levels=2, in_feature="p5"),
    ),
    proposal_generator=L(FCOSProposalGenerator)(
        head=L(FCOSHead)(in_channels=256, num_classes=80, num_levels=5),
        in_features=["p3", "p4", "p5", "p6", "p7"],
        strides=[8, 16, 32, 64, 128],
        # What is not given here has the paper's values.
        assigner=L(SizeRangeAssigner)(),
        criterion=L(Criterion)(cls_loss=L(FocalLoss)()),
        normalizer=L(LossNormalizers)(),
        test_selection=L(Selection)(),
    ),
    pixel_mean=[103.53, 116.28, 123.675],
    pixel_std=[1.0, 1.0, 1.0],
)
