"""The parts of FCOS; importing this registers them in detectron2's registries."""

from .assignment import SizeRangeAssigner
from .assignment_atss import ATSSAssigner
from .assignment_tal import TaskAlignedAssigner
from .backbone import (
    DLA,
    PAFPN,
    BiFPN,
    MobileNetV2,
    TimmBackbone,
    TopLevels,
    VoVNet,
    make_bottleneck_stages,
)
from .criterion import Criterion
from .head import FCOSHead
from .losses import FocalLoss
from .meta_arch import FCOS
from .normalizers import LossNormalizers
from .proposal_generator import FCOSProposalGenerator
from .quality_focal import QualityFocalLoss, VarifocalLoss
from .selection import Selection

__all__ = [
    "DLA",
    "FCOS",
    "PAFPN",
    "ATSSAssigner",
    "BiFPN",
    "Criterion",
    "FCOSHead",
    "FCOSProposalGenerator",
    "FocalLoss",
    "LossNormalizers",
    "MobileNetV2",
    "QualityFocalLoss",
    "Selection",
    "SizeRangeAssigner",
    "TaskAlignedAssigner",
    "TimmBackbone",
    "TopLevels",
    "VarifocalLoss",
    "VoVNet",
    "make_bottleneck_stages",
]
