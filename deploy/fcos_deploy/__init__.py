"""Runs detectors that fcos_d2 exported, without torch."""

from .detector import Detections, Detector

__all__ = ["Detections", "Detector"]
__version__ = "0.2.0"
