"""Saving our checkpoints, and loading those of others."""

from .checkpointer import FCOSCheckpointer, resumable
from .detector import load_detector, stored_class_names
from .reading import read_checkpoint
from .report import LoadingReport
from .sources import recognise

__all__ = [
    "FCOSCheckpointer",
    "LoadingReport",
    "load_detector",
    "read_checkpoint",
    "recognise",
    "resumable",
    "stored_class_names",
]
