"""How long an evaluation will take, while there has been none."""

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch.utils.data import DataLoader

from ..modeling.modes import evaluating
from .budget import Budget
from .measuring import Measuring
from .run_parts import Run
from .validation_loss import sums_of_batch
from .wrapping import unwrapped

logger = logging.getLogger(__name__)

SHARE = 0.01  # of a budget, to find out


def expect_evaluations(
    budget: Budget, run: Run, measuring: Measuring, build_loader: Callable[[str], DataLoader]
) -> None:
    """Has a budget know what an evaluation takes, where it has to guess.

    Args:
        budget: of the run.
        run, measuring, build_loader: as in `expected_time`.
    """
    if not budget.must_guess():
        return
    begin = time.monotonic()
    seconds = expected_time(run, measuring, build_loader, SHARE * budget.seconds)
    logger.info("an evaluation is expected to take %.1f s", seconds)
    budget.expect("evaluation", seconds)
    budget.pause(time.monotonic() - begin)


def expected_time(
    run: Run, measuring: Measuring, build_loader: Callable[[str], DataLoader], most: float
) -> float:
    """Seconds of an evaluation on all test sets of a run, told by its first images.

    Args:
        run: names the test sets and the views.
        measuring: what an evaluation is made of.
        build_loader: of a test set.
        most: s that this may take, about; two batches of each set are looked at in any case.
    """
    model, losses = measuring.model, measuring.losses
    share = most / max(len(run.test_datasets), 1) / (1 if losses is None else 2)
    total = 0.0
    for name in run.test_datasets:
        seen = run.views.wrap(unwrapped(model), run.build_test_mapper())
        with evaluating(model), torch.no_grad():
            loader = build_loader(name)
            total += time_of_all(seen, loader, len(loader), share)
            if losses is not None:
                loader = losses.loader(name)
                total += time_of_all(partial(sums_of_batch, model), loader, len(loader), share)
    return total * (1 if measuring.raw is None else 2)


def time_of_all(work: Callable, batches: Iterable, num_batches: int, most: float) -> float:
    """Seconds to work through all batches, of which only the first are worked through.

    The first one is apart, as workers start for it and memory is found.
    """
    begin = time.monotonic()
    first = elapsed = 0.0
    done = 0
    for batch in batches:
        work(batch)
        done += 1
        elapsed = time.monotonic() - begin
        if done == 1:
            first = elapsed
        elif elapsed > most:
            break
    if done < 2 or done >= num_batches:
        return elapsed
    return first + (elapsed - first) / (done - 1) * (num_batches - 1)
