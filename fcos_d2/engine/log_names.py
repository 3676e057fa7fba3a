"""Names in the log: of results, and safe ones of files and classes."""

import logging
import re

from fcos_deploy.text import shown_lines

RAW = "raw"  # before all that the weights of the last iteration give, beside their moving mean
LOSS = "validation"  # before the losses on a test set

_COLOUR = re.compile("(\x1b\\[[0-9;]*m)")  # detectron2 colours its tables


class ShownNames(logging.Filter):
    """Keeps what a log file or a terminal cannot take out of messages, as `shown` does."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Changes the record; lets all of them through."""
        message = record.getMessage()
        parts = _COLOUR.split(message)
        parts[::2] = map(shown_lines, parts[::2])
        if (safe := "".join(parts)) != message:
            record.msg, record.args = safe, ()
        return True
