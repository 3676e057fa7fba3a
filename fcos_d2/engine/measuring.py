"""What is measured at each evaluation of a training."""

import time
from collections.abc import Callable, Sequence

from torch import nn

from .ema import WeightAverage
from .log_names import LOSS, RAW
from .run_parts import Run
from .validation_loss import ValidationLoss, check_has_losses


class Measuring:
    """Evaluates the weights that are kept, and beside them what the config asks for."""

    def __init__(
        self,
        test: Callable[[nn.Module], dict],
        dataset_names: Sequence[str],
        model: nn.Module,
        *,
        raw: nn.Module | None = None,
        losses: ValidationLoss | None = None,
    ) -> None:
        """
        Args:
            test: the results of a model on the test sets, as `evaluate` gives them.
            dataset_names: of these sets.
            model: with the weights that are kept, maybe distributed.
            raw: with those of the last iteration, where `model` is their moving mean; None: it is
                not evaluated.
            losses: measures those of a model on a test set; None: nobody does.
        """
        self.test = test
        self.dataset_names = dataset_names
        self.model = model
        self.raw = raw
        self.losses = losses
        # Of the time, what `test` takes for the model; until it is known all parts count the same.
        self.plain_share = 1 / ((1 if raw is None else 2) * (1 if losses is None else 2))

    def __call__(self) -> dict:
        """The results by task and metric, of several sets under their names.

        With losses, "validation" is one of the tasks; the results of `raw`, of the same shape, are
        in "raw".
        """
        if self.raw is None and self.losses is None:
            return self.test(self.model)
        begin, of_raw = time.monotonic(), {}
        # First, as the files that the last test leaves are those of the weights that are kept.
        if self.raw is not None:
            of_raw = {RAW: self._with_losses(self.raw, self.test(self.raw))}
        start = time.monotonic()
        results = self.test(self.model)
        plain = time.monotonic() - start
        results = self._with_losses(self.model, results) | of_raw
        self.plain_share = plain / max(time.monotonic() - begin, 1e-9)
        return results

    def _with_losses(self, model: nn.Module, results: dict) -> dict:
        if self.losses is None:
            return results
        found = {name: {LOSS: self.losses(model, name)} for name in self.dataset_names}
        if len(found) == 1:
            return results | found.popitem()[1]
        return results | {name: results.get(name, {}) | losses for name, losses in found.items()}


def build_measuring(
    run: Run, test: Callable[[nn.Module], dict], model: nn.Module, average: WeightAverage | None
) -> Measuring:
    """What a run asks to be measured.

    Args:
        run: of the training, whose data are loaded.
        test: see `Measuring`.
        model: in training, maybe distributed.
        average: of its weights; None: there is none.

    Raises:
        ValueError: losses of a model that has others than these.
    """
    settings, losses = run.training(), None
    if settings.validation_loss:
        check_has_losses(model)
        losses = ValidationLoss(run, run.class_names)
    if average is None:
        return Measuring(test, run.test_datasets, model, losses=losses)
    raw = model if settings.evaluate_raw else None
    return Measuring(test, run.test_datasets, average.model, raw=raw, losses=losses)
