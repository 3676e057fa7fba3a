"""What `fcos train` and `fcos eval` do: one training or evaluation."""

import logging
import os
import time

from detectron2.utils import comm

from fcos_deploy.door import MISTAKES
from fcos_deploy.writing import describe

from . import label_forecast
from .best import KeepBest
from .curves import SECONDS as CURVES_SECONDS
from .curves import draw_curves
from .divergence import one_rank_tells
from .evaluating import evaluate_weights
from .final_report import keep_time, write_final_report
from .final_test import TimeForTest, measure_best_weights
from .learning_curve import curve_of
from .request import Request
from .run_parts import Run
from .setup import prepare
from .summary import say_beginning, say_end, say_evaluation, say_results
from .train_log import quiet_train_loop
from .trainer import Trainer

logger = logging.getLogger(__name__)


def run(request: Request) -> dict:
    """Trains, or evaluates with eval_only.

    Args:
        request: what to do; on several ranks the same on all.

    Returns:
        The results of the last evaluation by task and metric.

    Raises:
        ValueError: bad config, override, data or checkpoint; names it. `TrainingDiverged` is one.
    """
    quiet_train_loop()
    prepared = prepare(request)
    try:
        with one_rank_tells():
            if request.eval_only:
                return _evaluate(request, prepared)
            return _train(request, prepared)
    except MISTAKES as error:
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            # E.g. while metrics are written.
            error.filename = os.path.join(prepared.output_dir, "")
        if comm.is_main_process():
            logger.error("%s", describe(error), extra={"only_in_file": True})
        raise


def _evaluate(request: Request, prepared: Run) -> dict:
    say_evaluation(prepared)
    results = evaluate_weights(prepared, request.trust_checkpoint)
    say_results(results)
    return results


def _train(request: Request, prepared: Run) -> dict:
    start = time.monotonic()
    if prepared.score_thresh is not None:
        logger.warning(
            "`score_thresh` is %s, perhaps chosen for other weights: predictions with the new ones "
            "will obey it; fcos report --set-threshold chooses anew",
            prepared.score_thresh,
        )
    labels = _forecast(request, prepared)
    trainer = Trainer(
        prepared,
        request.trust_checkpoint,
        resume=request.resume,
        begun=request.begun,
        accept_noncommercial=request.accept_noncommercial,
    )
    trainer.resume_or_load(resume=request.resume)
    say_beginning(trainer)
    if trainer.clock is not None:
        trainer.clock.budget.announce("curves", CURVES_SECONDS)
    if prepared.final_test and trainer.clock is not None:
        trainer.register_hooks([TimeForTest(trainer.clock, prepared, trainer.measuring)])
    keep_time(prepared, trainer.clock)
    results = trainer.train()
    best = next((hook.best for hook in trainer._hooks if isinstance(hook, KeepBest)), None)
    tested = (
        measure_best_weights(prepared, request.trust_checkpoint) if prepared.final_test else None
    )
    report = write_final_report(prepared, trainer.clock, request.trust_checkpoint)
    forecast, curve = {}, curve_of(trainer)
    if curve is not None and curve.points:
        forecast["2x time"] = curve.in_words()
    if request.forecast:
        forecast["2x labels"] = label_forecast.in_words(labels)
    curves = draw_curves(prepared.output_dir)
    seconds = time.monotonic() - start
    say_end(
        prepared, results, seconds, best, trainer.clock, tested, forecast, report, curves=curves
    )
    return results


def _forecast(request: Request, prepared: Run) -> list[tuple[int, float]]:
    """The results of short trainings on parts of the labels; none where they are not asked for."""
    if not request.forecast:
        return []
    if not prepared.training().budget:
        raise ValueError("--forecast trains within a budget: give --budget, too")
    if request.resume and (found := label_forecast.earlier_results(prepared.output_dir)):
        return found
    return label_forecast.train_on_parts(prepared, request)
