"""Keeps the best weights, and ends a run that no longer gets better."""

import logging
import math
import os
import shutil
from collections.abc import Mapping

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import HookBase
from detectron2.utils import comm

from fcos_deploy.writing import replacing

from ..checkpoint import read_checkpoint
from ..evaluation.metrics import unknown_metric
from .cadence import Cadence
from .log_names import RAW

logger = logging.getLogger(__name__)

RESULTS = os.path.join("inference", "coco_instances_results.json")  # of the last evaluation
BEST_RESULTS = os.path.join("inference", "model_best_results.json")  # of the best one


class EarlyStop(Exception):
    """Ends the loop of a trainer as if it had come to its end; `Trainer.train` expects it."""


class KeepBest(HookBase):
    """After each evaluation that beats all before, saves model_best; it runs after `EvalHook`."""

    def __init__(
        self,
        checkpointer: DetectionCheckpointer,
        cadence: Cadence,
        metric: str = "bbox/AP",
        patience: int = 0,
    ) -> None:
        """
        Args:
            checkpointer: writes the checkpoints.
            cadence: of the evaluations before the last one.
            metric: larger is better; a name in the event storage. Where several datasets are
                tested, that of the first, unless the name begins with a dataset.
            patience: evaluations without a better one after which the run ends; 0: never.

        Raises:
            ValueError: a patience without evaluations.
        """
        if patience < 0 or (patience > 0 and not cadence):
            raise ValueError(
                f"`patience` is {patience}; it needs evaluations in the run, and `eval_period` is 0"
            )
        self.checkpointer = checkpointer
        self.cadence = cadence
        self.metric = metric
        self.patience = patience
        self.best: float | None = None
        self.best_iteration = -1
        self.waited = 0  # evaluations since the best one
        # What model_best.pth holds may be better: it can come from a stretch of the run that was
        # lost after the last checkpoint.
        self.in_file: float | None = None
        self._said = False  # that there is nothing to compare

    def after_step(self) -> None:
        """Raises EarlyStop, in all processes, when patience has run out."""
        done = self.trainer.iter + 1
        if done == self.trainer.max_iter or not self.cadence.due(done):
            return
        self._compare()
        if self.patience and any(comm.all_gather(self.waited >= self.patience)):
            logger.info(
                "no better %s in %d evaluations: the run ends at iteration %d; the best weights, "
                "%s %.2f of iteration %d, are in model_best.pth",
                *(self.metric, self.patience, self.trainer.iter, self.metric),
                *(self.best or math.nan, self.best_iteration),
            )
            self.checkpointer.save("model_final", iteration=self.trainer.iter)
            raise EarlyStop

    def after_train(self) -> None:
        if self.trainer.iter + 1 >= self.trainer.max_iter:  # else the run broke off
            self._compare()

    def _compare(self) -> None:
        """Raises ValueError, in all processes, for a metric that the evaluation does not give."""
        error = None
        if comm.is_main_process():
            try:
                self._keep_if_best()
            except ValueError as caught:
                error = str(caught)
        error = comm.all_gather(error)[0]
        if error is not None:
            raise ValueError(error)

    def _keep_if_best(self) -> None:
        found = self.trainer.storage.latest()
        name = _resolve(self.metric, list(found))
        if name is None:
            # Nothing can be told of the run, so this does not count as a wait, either.
            if not self._said:
                logger.warning(
                    "the evaluation gives no AP: without %s there is no model_best.pth and no "
                    "early stop",
                    self.metric,
                )
            self._said = True
            return
        value, _ = found[name]
        # After the loop, the iteration of a trainer is one that never ran.
        iteration = min(self.trainer.iter, self.trainer.max_iter - 1)
        if math.isnan(value) or (self.best is not None and value <= self.best):
            self.waited += 1
        else:
            self.best, self.best_iteration, self.waited = value, iteration, 0
        if math.isnan(value) or (self.in_file is not None and value <= self.in_file):
            return
        self.in_file = value
        # Not the last checkpoint in the sense of --resume, though it may be the newest.
        # First, so that a kill in between leaves no detections of other weights.
        forget_results(self.checkpointer.save_dir)
        self.checkpointer.save("model_best", tag=False, best=value, iteration=iteration)
        keep_results(self.checkpointer.save_dir)
        logger.info("best %s so far: %.2f, saved as model_best.pth", name, value)

    def state_dict(self) -> dict:
        return {"waited": self.waited, "best": self.best, "best_iteration": self.best_iteration}

    def load_state_dict(self, state_dict: dict) -> None:
        """What the checkpoint knew; model_best.pth is kept until it is beaten."""
        self.waited = state_dict["waited"]
        path = os.path.join(self.checkpointer.save_dir, "model_best.pth")
        saved = {}
        if os.path.isfile(path):
            try:
                saved = read_checkpoint(path)
                self.in_file = saved["best"]
            except (ValueError, KeyError) as error:
                logger.warning(
                    "model_best.pth cannot be read (%s): the next evaluation writes it anew", error
                )
        # Checkpoints of earlier versions know only how long the run has waited.
        self.best = state_dict.get("best", self.in_file)
        self.best_iteration = state_dict.get("best_iteration", saved.get("iteration", -1))


def keep_results(output_dir: str) -> None:
    """Keeps the detections of the last evaluation as those of the best weights.

    So a report on these needs no second look at the images. Metrics other than COCO's leave none.
    """
    path, kept = (os.path.join(output_dir, name) for name in (RESULTS, BEST_RESULTS))
    if os.path.isfile(path):
        with replacing(kept) as part:
            shutil.copyfile(path, part)


def forget_results(output_dir: str) -> None:
    """Removes the detections of the best weights so far."""
    kept = os.path.join(output_dir, BEST_RESULTS)
    if os.path.isfile(kept):
        os.remove(kept)


def value_of(metric: str, found: Mapping[str, tuple[float, int]]) -> float | None:
    """The latest value of a metric; None where the evaluations gave none.

    Args:
        metric: such as "bbox/AP".
        found: `EventStorage.latest()`.
    """
    name = _resolve(metric, list(found))
    if name is None or math.isnan(found[name][0]):
        return None
    return found[name][0]


def _resolve(metric: str, found: list[str]) -> str | None:
    """The name in the event storage that is meant by a metric.

    Args:
        metric: such as "bbox/AP".
        found: all names, in the order in which they were first written.

    Returns:
        The metric itself or, of several test sets, that of the first (named "set/bbox/AP"); None
        where an evaluation gave no AP at all, as on a test set without annotations.

    Raises:
        ValueError: there are others, but not this one.
    """
    if metric in found:
        return metric
    found = [name for name in found if not name.startswith(f"{RAW}/")]
    for name in found:
        if name.endswith(f"/{metric}"):
            return name
    names = [name for name in found if "/AP" in name]
    if names:
        raise unknown_metric(metric, names)
    return None
