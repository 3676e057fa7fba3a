"""The 2x schedule."""

from .train import lr_multiplier, optimizer, train

__all__ = ["lr_multiplier", "optimizer", "train"]

train.max_iter = 180000
lr_multiplier.scheduler.num_updates = 180000
lr_multiplier.scheduler.milestones = [120000, 160000]
lr_multiplier.warmup_length = 1000 / 180000
