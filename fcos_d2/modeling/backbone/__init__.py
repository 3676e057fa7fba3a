"""Bodies and necks; importing this registers all their combinations, see build.py."""

from . import build
from .bifpn import BiFPN
from .dla import DLA
from .mobilenet import MobileNetV2
from .pafpn import PAFPN
from .resnet import make_bottleneck_stages
from .timm_backbone import TimmBackbone, weights_come_later
from .top_levels import TopLevels
from .vovnet import VoVNet

__all__ = [
    "DLA",
    "PAFPN",
    "BiFPN",
    "MobileNetV2",
    "TimmBackbone",
    "TopLevels",
    "VoVNet",
    "build",
    "make_bottleneck_stages",
    "weights_come_later",
]
