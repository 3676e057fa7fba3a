"""The best weights of a run on a test set that the run has never looked at."""

import logging
import os
from dataclasses import replace

from detectron2.data import DatasetCatalog
from detectron2.engine import HookBase

from .clock import Clock
from .evaluating import evaluate_weights
from .measuring import Measuring
from .run_parts import Run
from .summary import say_results

logger = logging.getLogger(__name__)

LOADING = 1.0  # s, for model and weights


def measure_best_weights(run: Run, trust_checkpoint: str | None = None) -> dict:
    """Evaluates model_best.pth, or model_final.pth where there is none, on `run.final_test`.

    Args:
        run: that has been trained.
        trust_checkpoint: see `read_checkpoint`.

    Returns:
        The results by task and metric.
    """
    assert run.final_test is not None
    names = ("model_best.pth", "model_final.pth")
    paths = [os.path.join(run.output_dir, name) for name in names]
    weights = next((path for path in paths if os.path.isfile(path)), paths[-1])
    logger.info("the test set, by %s", weights)
    tested = replace(run, weights=weights, test_datasets=(run.final_test,))
    results = evaluate_weights(tested, trust_checkpoint)
    say_results(results)
    return results


class TimeForTest(HookBase):
    """Keeps time of a budget free for `measure_best_weights`."""

    def __init__(self, clock: Clock, run: Run, measuring: Measuring) -> None:
        """
        Args:
            clock: of the run.
            run: with a final test.
            measuring: what an evaluation is made of, of which the test is one part.
        """
        self.clock, self.measuring = clock, measuring
        assert run.final_test is not None
        images = [len(DatasetCatalog.get(x)) for x in (run.final_test, *run.test_datasets)]
        # How many times as long as an evaluation; without any it is as good as one.
        self.times = images[0] / max(sum(images[1:]), 1) if images[1:] else 1.0

    def before_train(self) -> None:
        self._announce()

    def after_step(self) -> None:
        self._announce()

    def _announce(self) -> None:
        budget = self.clock.budget
        seconds = self.measuring.plain_share * budget.cost("evaluation")
        budget.announce("test", LOADING + self.times * seconds)
