"""Where weights come from, one file for each origin."""

from collections.abc import Collection

from . import (
    detectron2_fcos,
    dla,
    efficientnet_lite,
    mmdetection_fcos,
    mobilenet,
    native,
    resnet,
    tianzhi,
    torchvision_fcos,
    vovnet,
)
from .source import HEAD, Source

__all__ = ["HEAD", "SOURCES", "Source", "recognise"]

# A detector that contains a body also has the body's keys, hence the detectors come first.
SOURCES = tuple(
    module.SOURCE
    for module in (
        native,
        tianzhi,
        torchvision_fcos,
        detectron2_fcos,
        mmdetection_fcos,
        dla,
        vovnet,
        mobilenet,
        efficientnet_lite,
        resnet,
    )
)


def recognise(keys: Collection[str]) -> Source | None:
    """The origin of weights with these keys; None for one that is not known.

    Args:
        keys: of a state dict.
    """
    return next((source for source in SOURCES if source.matches(keys)), None)
