"""Running detectors: runs from configs, trainer, evaluation, processes and guards."""

from .command import run
from .console import setup_logging
from .distributed import launch
from .divergence import DivergenceGuard, TrainingDiverged
from .evaluating import evaluate
from .request import Request
from .run_of import run_of
from .run_parts import Run
from .setup import prepare
from .trainer import Trainer

__all__ = [
    "DivergenceGuard",
    "Request",
    "Run",
    "Trainer",
    "TrainingDiverged",
    "evaluate",
    "launch",
    "prepare",
    "run",
    "run_of",
    "setup_logging",
]
