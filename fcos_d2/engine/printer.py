"""The line that says how far a training is."""

import logging
import re
from collections.abc import MutableMapping
from typing import Any

from detectron2.utils.events import CommonMetricPrinter

from .console import PROGRESS
from .log_names import LOSS

_EVALUATED = re.compile(rf"\S*\b{LOSS}/\S+: \S+ *")


class Printer(CommonMetricPrinter):
    """detectron2's, without losses on test sets: it would say the median of all evaluations."""

    def __init__(self, max_iter: int | None = None) -> None:
        super().__init__(max_iter)
        self.logger: logging.LoggerAdapter = _OfTraining(logging.getLogger(PROGRESS))


class _OfTraining(logging.LoggerAdapter):
    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        return _EVALUATED.sub("", msg), kwargs
