"""What a step of the very run costs on this machine, measured."""

import gc
import logging
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType

import torch
from detectron2.config import CfgNode
from detectron2.utils.events import EventStorage

from ..engine.run_of import run_of
from ..engine.step import StepTrainer
from ..engine.trainable import choose_what_learns
from ..engine.wrapping import prepare_for_training
from ..modeling.backbone import weights_come_later
from . import rules
from .facts import Facts
from .sizes import Resize, StepCost

resource: ModuleType | None
try:
    import resource
except ModuleNotFoundError:  # on Windows
    resource = None

MOST_STEPS = 4  # of a size, after the first


def time_steps(cfg: CfgNode, facts: Facts, seconds: float) -> StepCost:
    """Trains a few steps at one or two input sizes.

    Args:
        cfg: of the run to time; its data are registered.
        facts: of its training set.
        seconds: that this may take; a step that has begun is finished.
    """
    end = time.monotonic() + seconds
    batch, size = cfg.SOLVER.IMS_PER_BATCH, cfg.INPUT.MIN_SIZE_TEST
    small, before = _smaller(size), _most_memory()
    with _quiet(), _Steps(cfg) as steps:
        half = (time.monotonic() + end) / 2
        measured = [(small, steps.seconds_at(small, facts, half))]
        ratio = _pixels(size, facts) / _pixels(small, facts)
        # The first step of a size costs more, and two are needed.
        if size > small and 2.5 * ratio * measured[0][1] < end - time.monotonic():
            measured.append((size, steps.seconds_at(size, facts, end)))
    cost = cost_of([(_pixels(x, facts), each / batch) for x, each in measured])
    pixels = batch * _pixels(measured[-1][0], facts)
    return replace(cost, bytes_per_megapixel=1e6 * (_most_memory() - before) / pixels)


def accumulation_on_gpu(cfg: CfgNode, facts: Facts) -> int:
    """The batches that a step has to come in: the fewest with which one step succeeds.

    Args:
        cfg: of the run, on a GPU.
        facts: of its training set.

    Raises:
        ValueError: not even one image at a time fits into the memory.
    """
    batch, size = cfg.SOLVER.IMS_PER_BATCH, max(cfg.INPUT.MIN_SIZE_TRAIN)
    for parts in (x for x in range(cfg.SOLVER.ACCUMULATE_STEPS, batch + 1) if batch % x == 0):
        cfg = cfg.clone()
        cfg.defrost()
        cfg.SOLVER.ACCUMULATE_STEPS = parts
        try:
            with _quiet(), _Steps(cfg) as steps:
                steps.seconds_at(size, facts, time.monotonic())
            return parts
        except torch.cuda.OutOfMemoryError:
            continue
    raise ValueError(
        f"not one image of {size} px fits into the memory of {cfg.MODEL.DEVICE}: name a smaller "
        "INPUT.MIN_SIZE_TEST, or --device cpu"
    )


def _most_memory() -> int:
    """The most bytes that this process has had at a time; 0 where that is not known."""
    if resource is None:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def cost_of(measured: list[tuple[float, float]]) -> StepCost:
    """The line through one or two measurements (pixels, seconds of an image).

    One alone, or two that contradict each other, are taken to be proportional to the pixels.
    """
    pixels, seconds = measured[-1]
    if len(measured) == 1:
        return StepCost(0.0, 1e6 * seconds / pixels)
    (few, fast), (many, slow) = measured
    slope = (slow - fast) / (many - few)
    fixed = fast - slope * few
    if slope <= 0 or fixed < 0:
        return StepCost(0.0, 1e6 * seconds / pixels)
    return StepCost(fixed, 1e6 * slope)


def _pixels(size: int, facts: Facts) -> float:
    return Resize.of(size, facts).pixels(facts.aspects)


def _smaller(size: int) -> int:
    """A size of about half the pixels."""
    return max(rules.multiple(0.7 * size), min(size, rules.SMALLEST_SIZE))


class _Steps:
    """The model of a run, and loaders for it at several sizes."""

    def __init__(self, cfg: CfgNode) -> None:
        self.cfg = cfg
        run = run_of(cfg)
        with weights_come_later():
            self.model = prepare_for_training(run.build_model()).train()
        choose_what_learns(self.model, from_scratch=not run.weights)
        self.optimizer = run.make_optimizer(self.model)

    def __enter__(self) -> "_Steps":
        return self

    def __exit__(self, *_: object) -> None:
        del self.model, self.optimizer
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def seconds_at(self, size: int, facts: Facts, end: float) -> float:
        """Of a step at a short side, px; measured until `end` at the latest."""
        cfg = at_size(self.cfg, size, facts)
        run = run_of(cfg)
        training = run.training()
        loader = run.build_train_loader()
        step = StepTrainer(
            self.model,
            loader,
            self.optimizer,
            accumulate_steps=training.accumulate_steps,
            precision=training.precision,
            max_grad_norm=training.max_grad_norm,
        )
        times: list[float] = []
        with EventStorage(0):
            step.iter = 0
            while len(times) <= MOST_STEPS:
                begun = time.monotonic()
                step.run_step()
                self._wait()
                times.append(time.monotonic() - begun)
                # The first step is no measure: the loader starts, and kernels are chosen.
                if len(times) > 1 and time.monotonic() + times[-1] > end:
                    break
        step._data_loader_iter_obj = None  # ends its workers
        return statistics.median(times[1:])  # another program may slow down one of them

    def _wait(self) -> None:
        if self.cfg.MODEL.DEVICE.startswith("cuda"):
            torch.cuda.synchronize()


def at_size(cfg: CfgNode, size: int, facts: Facts) -> CfgNode:
    """The same config at another short side, px."""
    resize = Resize.of(size, facts)
    cfg = cfg.clone()
    cfg.defrost()
    cfg.INPUT.MIN_SIZE_TRAIN = (size,)
    cfg.INPUT.MAX_SIZE_TRAIN = resize.longest
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = size, resize.longest
    cfg.INPUT.SQUARE_SIZE = resize.longest
    return cfg


@contextmanager
def _quiet() -> Iterator[None]:
    """Says nothing of what the run itself will say."""
    loggers = [logging.getLogger(name) for name in ("fcos_d2", "detectron2", "fvcore")]
    levels = [x.level for x in loggers]
    try:
        for each in loggers:
            each.setLevel(logging.ERROR)
        yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
