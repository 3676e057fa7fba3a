"""The report at the end of a training, from what its evaluations have found."""

import logging
import os
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from detectron2.data import DatasetCatalog
from detectron2.utils import comm

from fcos_deploy.vision import ImageError, read_image
from fcos_deploy.writing import describe

from ..evaluation.coco import FastCOCOEvaluator
from .best import BEST_RESULTS, RESULTS
from .clock import Clock
from .run_parts import Run

logger = logging.getLogger(__name__)

FOLDER = "report"
PICTURES = 48  # that its gallery may open
START, PER_IMAGE = 1.5, 0.02  # s that it takes on a slow CPU core
SHARE = 0.05  # of a budget, at most


class FinalReport(NamedTuple):
    """What a training says of its report."""

    page: Path
    mistakes: str  # the costliest kind, in words; "" where none costs much


class NoReport(Exception):
    """Why there is none; no mistake of anybody."""


def keep_time(run: Run, clock: Clock | None) -> None:
    """Has a budget leave time for the report, before the training begins."""
    if clock is None or tested_on(run) is None:
        return
    seconds = expected_seconds(run)
    if seconds <= SHARE * clock.budget.seconds:
        clock.budget.announce("report", seconds)


def write_final_report(
    run: Run, clock: Clock | None = None, trust_checkpoint: str | None = None
) -> FinalReport | None:
    """Writes the report of the best weights on the test set, else on the last validation set.

    It looks at no image a second time: the evaluations have left their detections. Whatever goes
    wrong here is a line in the log; the training is done.

    Args:
        run: that has been trained and evaluated.
        clock: of a run with a budget.
        trust_checkpoint: see `read_checkpoint`.

    Returns:
        None on other processes than the first, and where there is none.
    """
    name = tested_on(run)
    if name is None or not comm.is_main_process():
        return None
    weights, results = _best(run)
    try:
        return _write(run, name, weights, results, trust_checkpoint, _deadline(run, clock))
    except NoReport as reason:
        logger.info("no report: %s", reason)
    except Exception as error:  # the weights are there, and nothing that follows may lose them
        command = f"fcos report --weights {shlex.quote(weights)}"
        logger.warning("no report (%s); to make one: %s", describe(error), command)
        logger.info("", exc_info=error, extra={"only_in_file": True})
    return None


def tested_on(run: Run) -> str | None:
    """The dataset that the report is on: the test set, else the one that is evaluated last."""
    return run.final_test or next(reversed(run.test_datasets), None)


def expected_seconds(run: Run) -> float:
    """That the report takes."""
    name = tested_on(run)
    assert name is not None
    return _seconds_for(name)


@lru_cache(maxsize=1)  # asked for again when the budget is nearly used up
def _seconds_for(name: str) -> float:
    records, decoding = DatasetCatalog.get(name), 0.0
    if records:
        start = time.monotonic()
        with suppress(ImageError):
            read_image(records[0].get("file_name", ""))
        decoding = time.monotonic() - start
    return START + max(PER_IMAGE, decoding) * len(records) + decoding * PICTURES


def _best(run: Run) -> tuple[str, str]:
    """The weights that the report is on, and their detections."""
    best = os.path.join(run.output_dir, "model_best.pth")
    kept = os.path.join(run.output_dir, BEST_RESULTS)
    last = os.path.join(run.output_dir, RESULTS)
    if os.path.isfile(best) and run.final_test is not None:
        return best, last
    if os.path.isfile(best) and os.path.isfile(kept):
        return best, kept
    return os.path.join(run.output_dir, "model_final.pth"), last


def _deadline(run: Run, clock: Clock | None) -> Callable[[], None]:
    """What raises NoReport when the time of a budget is up; called between the steps."""
    if clock is None:
        return lambda: None
    seconds = expected_seconds(run)
    total = clock.budget.seconds
    if seconds > SHARE * total:
        raise NoReport(
            f"it may take {seconds:.0f} s, which is too much of a budget of {total:.0f} s; "
            "`fcos report` makes it"
        )

    def check() -> None:
        if clock.left <= 0:
            raise NoReport("the time of the budget is up; `fcos report` makes it")

    return check


def _write(
    run: Run,
    name: str,
    weights: str,
    results: str,
    trust_checkpoint: str | None,
    check_time: Callable[[], None],
) -> FinalReport:
    # Here, because it is made of parts of this room.
    from ..evaluation.report import flow
    from ..evaluation.report.errors import costliest_in_words
    from ..evaluation.report.page import write_page
    from ..evaluation.report.parts import build_gallery

    evaluator = run.make_evaluator(name)
    if not isinstance(evaluator, FastCOCOEvaluator) or not os.path.isfile(results):
        raise NoReport("the evaluation has left no detections in COCO's form")
    check_time()
    folder = Path(run.output_dir, FOLDER)
    folder.mkdir(exist_ok=True)
    asked = flow.Asked(
        output=folder,
        speed=False,
        max_dets_per_image=evaluator.max_dets_per_image,
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        progress=False,
    )
    tested = replace(run, weights=weights, test_datasets=(name,))
    report = flow.report_of_run(tested, results, asked, trust_checkpoint)
    check_time()
    gallery = build_gallery(report.data, report.matches, report.numbers)
    page = write_page(report.numbers, gallery, folder)
    return FinalReport(page, costliest_in_words(report.numbers["tide"]))
