"""The parts of FCOS; importing this registers them in detectron2's registries."""

from .backbone import TopLevels, build_fcos_resnet_fpn_backbone
from .head import FCOSHead
from .meta_arch import FCOS
from .proposal_generator import FCOSProposalGenerator

__all__ = [
    "FCOS",
    "FCOSHead",
    "FCOSProposalGenerator",
    "TopLevels",
    "build_fcos_resnet_fpn_backbone",
]
