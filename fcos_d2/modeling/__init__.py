"""The parts of FCOS; importing this registers them in detectron2's registries."""

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
from .head import FCOSHead
from .meta_arch import FCOS
from .proposal_generator import FCOSProposalGenerator

__all__ = [
    "DLA",
    "FCOS",
    "PAFPN",
    "BiFPN",
    "FCOSHead",
    "FCOSProposalGenerator",
    "MobileNetV2",
    "TimmBackbone",
    "TopLevels",
    "VoVNet",
    "make_bottleneck_stages",
]
