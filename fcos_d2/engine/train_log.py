"""No stack trace from detectron2's training loop where one line says why a run ended."""

import logging

from fcos_deploy.door import MISTAKES

from .best import EarlyStop


def quiet_train_loop() -> None:
    """Has the loop keep its traces for programming errors; once is enough."""
    logging.getLogger("detectron2.engine.train_loop").addFilter(_is_programming_error)


def _is_programming_error(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], (*MISTAKES, EarlyStop)))
