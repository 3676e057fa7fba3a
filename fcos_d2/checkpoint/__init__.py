"""Saving our checkpoints, and loading those of others."""

from .checkpointer import FCOSCheckpointer
from .reading import read_checkpoint
from .report import LoadingReport
from .sources import recognise

__all__ = ["FCOSCheckpointer", "LoadingReport", "read_checkpoint", "recognise"]
