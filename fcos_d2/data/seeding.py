"""Random numbers that start from a seed."""

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

import numpy as np
import torch

_batch_seed = ContextVar[int | None]("batch_seed", default=None)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers of Python, numpy and torch start from `seed`, and go on as before afterwards.

    Args:
        seed: in [0, 2 ** 32).
    """
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs as well
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


@contextmanager
def within_batch(seed: int) -> Iterator[None]:
    """What is drawn within `as_the_batch` follows from this seed, which all of a batch share."""
    token = _batch_seed.set(seed)
    try:
        yield
    finally:
        _batch_seed.reset(token)


def as_the_batch(really: bool = True) -> AbstractContextManager[None]:
    """Random numbers that are the same for all images of a batch.

    Args:
        really: False, or no `within_batch` around it: those of the image go on.
    """
    seed = _batch_seed.get()
    return nullcontext() if seed is None or not really else seeded(seed)
