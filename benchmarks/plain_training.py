"""A plain loop that trains any detector of detectron2's interface, for a time or for some steps."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from detectron2.utils.events import EventStorage
from torch import nn

MAX_GRAD_NORM = 35.0


@dataclass(frozen=True, kw_only=True)
class Plain:
    """AdamW with a warm-up and half a cosine down to nothing."""

    seconds: float | None = None  # of wall time; None: `iterations` count
    iterations: int | None = None
    rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 50  # iterations

    def __post_init__(self) -> None:
        if (self.seconds is None) == (self.iterations is None):
            raise ValueError("either `seconds` or `iterations` ends a training")

    def progress(self, iteration: int, seconds: float) -> float:
        """Share of the training that is done, >= 0; at 1 it ends."""
        if self.seconds is not None:
            return seconds / self.seconds
        return iteration / (self.iterations or 1)

    def rate_at(self, iteration: int, progress: float) -> float:
        """The learning rate: a clock cannot be late, so the cosine always reaches its end."""
        warm = min(1.0, (iteration + 1) / self.warmup)
        return self.rate * warm * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


class Trained(NamedTuple):
    """What a training took."""

    iterations: int
    seconds: float


def train(
    model: nn.Module,
    loader: Iterable[list[dict]],
    plain: Plain,
    now: Callable[[], float] = time.monotonic,
) -> Trained:
    """Trains in place.

    Args:
        model: returns a dict of losses.
        loader: endless batches.
        plain: how, and how long.
        now: a clock, s.

    Raises:
        ValueError: the loss is no number any more.
    """
    model.train()
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=plain.rate, weight_decay=plain.weight_decay)
    iteration, batches, begun = 0, iter(loader), now()
    with EventStorage():  # detectron2's FCOS writes into one
        while (progress := plain.progress(iteration, now() - begun)) < 1:
            for group in optimizer.param_groups:
                group["lr"] = plain.rate_at(iteration, progress)
            loss = sum(model(next(batches)).values())
            if not math.isfinite(float(loss)):
                raise ValueError(
                    f"the loss is {float(loss)} in iteration {iteration}: lower --rate"
                )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learned, MAX_GRAD_NORM)
            optimizer.step()
            iteration += 1
    return Trained(iteration, now() - begun)
