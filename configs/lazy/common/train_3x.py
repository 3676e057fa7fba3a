"""The 3x schedule."""

from .train import lr_multiplier, optimizer, train

__all__ = ["lr_multiplier", "optimizer", "train"]

train.max_iter = 270000
lr_multiplier.scheduler.num_updates = 270000
lr_multiplier.scheduler.milestones = [210000, 250000]
lr_multiplier.warmup_length = 1000 / 270000
