"""What a person wants to know of a run, at its beginning and at its end."""

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from detectron2.data import MetadataCatalog
from detectron2.utils import comm

from .. import __version__
from ..checkpoint.origins import origins_in_words
from .durations import in_words as duration
from .log_names import LOSS
from .wrapping import unwrapped

if TYPE_CHECKING:
    from .clock import Clock
    from .final_report import FinalReport
    from .run_parts import Run
    from .trainer import Trainer

logger = logging.getLogger(__name__)

METRICS = ("AP", "AP50", "AP75")
MOST_NAMES = 6  # of classes


def say_beginning(trainer: "Trainer") -> None:
    """What will be trained: data, model, schedule, machine and output."""
    run, settings = trainer.run, trainer.settings
    images = len(trainer.data_loader.dataset)
    parameters = [*unwrapped(trainer.model).parameters()]
    learning = sum(x.numel() for x in parameters if x.requires_grad)
    names = trainer.class_names or []
    rate = max(group.get("initial_lr", group["lr"]) for group in trainer.optimizer.param_groups)
    rows = {
        "data": f"{_sources(run.train_datasets)}: {images} images, {_listed(names)}; tested on "
        f"{_sources(run.test_datasets)}",
        "model": f"{type(unwrapped(trainer.model)).__name__}, "
        f"{sum(x.numel() for x in parameters) / 1e6:.1f} M parameters, {learning / 1e6:.1f} M of "
        "them learn",
        "start": origins_in_words(trainer.checkpointer.origins),
        "schedule": _schedule(trainer, images, rate),
        "device": _machine(run, settings.precision),
        "output": f"{run.output_dir} (log.txt has all details)",
    }
    logger.info("fcos_d2 %s: training\n%s", __version__, _table(rows))


def _schedule(trainer: "Trainer", images: int, rate: float) -> str:
    settings, clock = trainer.settings, trainer.clock
    batch = f"of {settings.total_batch_size} images"
    how = f"{type(trainer.optimizer).__name__}, learning rate {rate:.4g}"
    if clock is not None:
        return (
            f"{duration(settings.budget)} budget, of which {duration(clock.used)} are used: as "
            f"many iterations {batch} as fit, {how}"
        )
    left = max(settings.max_iter - trainer.start_iter, 0)
    epochs = settings.max_iter * settings.total_batch_size / max(images, 1)
    rest = f"; {left} iterations are left" if trainer.start_iter else ""
    return f"{settings.max_iter} iterations {batch} ({epochs:.1f} epochs), {how}{rest}"


def say_iterations(total: float, seconds: float) -> None:
    """How long a run with a budget of so many seconds will be, once its steps have been timed."""
    number = total if total < 100 else round(total, -1)
    logger.info("%s budget: about %.0f iterations", duration(seconds), number)


def say_results(results: Mapping[str, object]) -> None:
    """One line for each evaluation."""
    if line := in_words(results):
        logger.info("evaluated: %s", line)


def say_end(
    run: "Run",
    results: Mapping[str, object],
    seconds: float,
    best: float | None,
    clock: "Clock | None" = None,
    tested: Mapping[str, object] | None = None,
    forecast: Mapping[str, str] | None = None,
    report: "FinalReport | None" = None,
    curves: str | None = None,
) -> None:
    """What came out, where it lies, and what can be done with it.

    Args:
        run: that has ended.
        results: of its last evaluation.
        seconds: that it took.
        best: the best value of the metric that is watched; None where none was.
        clock: of a run with a budget.
        tested: results of the best weights on the test set; None where there is no such set.
        forecast: what more time or labels would bring, in words; None: that is not known.
        report: on what the detector gets right and wrong; None where there is none.
        curves: the picture of them; None: there is none.
    """
    rows = {"results": in_words(results) or "none"}
    weights = os.path.join(run.output_dir, "model_final.pth")
    rows["weights"] = weights
    kept = os.path.join(run.output_dir, "model_best.pth")
    if best is not None and os.path.isfile(kept):
        rows["best"] = f"{kept}: {run.training().best_metric} {best:.1f}"
        weights = kept
    if tested is not None:
        rows["test set"] = in_words(tested) or "none"
    rows |= forecast or {}
    if report is not None:
        if report.mistakes:
            rows["mistakes"] = report.mistakes
        rows["report"] = (
            f"{report.page}: what the detector gets right and wrong, and which threshold"
        )
    elif run.test_datasets:
        rows["report"] = f"none yet: fcos report --weights {weights}"
    if curves is not None:
        rows["curves"] = curves
    rows["output"] = f"{run.output_dir}: config.yaml, metrics.json, log.txt"
    rows["next"] = f"fcos predict IMAGE --weights {weights} --output drawn/"
    time = f"{timedelta(seconds=round(seconds))}"
    if clock is not None:
        used = timedelta(seconds=round(clock.used))
        time = f"{used} of a budget of {timedelta(seconds=round(clock.budget.seconds))}"
    logger.info("done in %s\n%s", time, _table(rows))


def say_evaluation(run: "Run") -> None:
    """What will be evaluated."""
    rows = {
        "data": _sources(run.test_datasets),
        "weights": run.weights,
        "device": _machine(run, None),
        "output": f"{run.output_dir} (log.txt has all details)",
    }
    logger.info("fcos_d2 %s: evaluation\n%s", __version__, _table(rows))


def in_words(results: Mapping[str, object]) -> str:
    """Such as "bbox AP 41.2, AP50 60.3, AP75 44.8"; of several sets one after the other."""
    return "; ".join(_parts(results, ""))


def _parts(results: Mapping[str, object], prefix: str) -> Iterator[str]:
    for name, values in results.items():
        if not isinstance(values, Mapping):
            continue
        if name == LOSS:
            if _is_number(values.get("total_loss")):
                yield f"{prefix}validation loss {values['total_loss']:.3g}"
            continue
        shown = [f"{key} {values[key]:.1f}" for key in METRICS if _is_number(values.get(key))]
        if shown:
            yield f"{prefix}{name} {', '.join(shown)}"
        else:
            yield from _parts(values, f"{prefix}{name} ")


def _sources(dataset_names: Sequence[str]) -> str:
    """What the user calls them."""
    return ", ".join(MetadataCatalog.get(x).get("source", x) for x in dataset_names) or "nothing"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not math.isnan(value)


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "classes without names"
    more = f", and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    word = "class" if len(names) == 1 else "classes"
    return f"{len(names)} {word} ({', '.join(names[:MOST_NAMES])}{more})"


def _machine(run: "Run", precision: str | None) -> str:
    processes = comm.get_world_size()
    many = f"{processes} processes" if processes > 1 else "1 process"
    return f"{run.device}, {many}, {precision or 'float32'}"


def _table(rows: Mapping[str, str]) -> str:
    return "\n".join(f"  {name:<9} {value}" for name, value in rows.items())
