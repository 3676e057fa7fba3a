"""What is wrong with a dataset, and whether a model can learn it."""

from .images import check_images
from .levels import LevelStatistics, level_statistics
from .report import DatasetReport, check_dataset
from .sets import check_sets

__all__ = [
    "DatasetReport",
    "LevelStatistics",
    "check_dataset",
    "check_images",
    "check_sets",
    "level_statistics",
]
