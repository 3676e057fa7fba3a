"""Running detectors: command line, training loops, processes and guards."""

from .distributed import launch
from .divergence import DivergenceGuard, TrainingDiverged
from .run import run, train_argument_parser
from .trainer import Trainer

__all__ = [
    "DivergenceGuard",
    "Trainer",
    "TrainingDiverged",
    "launch",
    "run",
    "train_argument_parser",
]
