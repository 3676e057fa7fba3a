"""What a run writes on the terminal, for a person, and into log.txt, for everything else."""

import logging
import os
import re
import sys
from typing import Any, TextIO

from detectron2.utils import comm
from detectron2.utils.logger import _ColorfulFormatter

from .bars import Bar, WatchedBatches, has_bars, is_terminal
from .keys import Kind, with_keys
from .log_names import ShownNames

LOGGERS = ("fcos_d2", "fvcore", "detectron2")
PROGRESS = "detectron2.utils.events"
# Of the lines that are no warnings, those of these loggers are for a person.
FOR_A_PERSON = (
    "fcos_d2.engine.best",
    "fcos_d2.engine.data",
    "fcos_d2.engine.stopping",
    "fcos_d2.engine.summary",
    PROGRESS,
)
# Its warnings are about what fcos_d2 has looked at, and repaired, itself.
ABOUT_NOTHING = ("detectron2.data.datasets.coco",)
WARNING_LINES = 3  # of a warning; all of it is in log.txt
FIRST_LINES = 12  # of all warnings before the progress

_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_IN_FILE = "[%(asctime)s] %(name)s %(levelname)s: %(message)s"
_IN_FULL = "[%(asctime)s %(name)s]: %(message)s"
_TIME = "%m/%d %H:%M:%S"
_YELLOW, _RED, _PLAIN = "\x1b[33m", "\x1b[31m", "\x1b[0m"


def setup_logging(output_dir: str, verbose: bool = False, kind: Kind | None = None) -> None:
    """Starts log.txt in a folder, and a terminal that shows the gist of it.

    Handlers of a run before, in this process, end.

    Args:
        output_dir: gets log.txt, from other ranks than the first log.txt.rank1, ...; is made.
        verbose: the terminal, too, shows everything.
        kind: of config, whose keys are added to the arguments that messages name.
    """
    os.makedirs(output_dir, exist_ok=True)
    rank = comm.get_rank()
    path = os.path.join(output_dir, "log.txt" + (f".rank{rank}" if rank else ""))
    handlers: list[logging.Handler] = [LogFile(path, kind)]
    if rank == 0:
        handlers.append(Terminal(sys.stdout, verbose, kind))
    for handler in handlers:
        handler.addFilter(ShownNames())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        for old in [*logger.handlers]:
            if isinstance(old, (LogFile, Terminal)) or _is_detectron2s(old):
                logger.removeHandler(old)
                old.close()
        for handler in handlers:
            logger.addHandler(handler)


def stream_for_bars() -> TextIO | None:
    """Where bars of progress go; None where there are none."""
    handlers = logging.getLogger(LOGGERS[0]).handlers
    return next((x.stream for x in handlers if isinstance(x, Terminal) and x.bars), None)


def watched(batches: Any, what: str) -> Any:
    """The batches, with a bar while they are worked through where a terminal shows bars."""
    stream = stream_for_bars()
    return batches if stream is None else WatchedBatches(batches, what, stream)


def _is_detectron2s(handler: logging.Handler) -> bool:
    """Whether it writes on the terminal for detectron2's `setup_logger`."""
    return isinstance(handler.formatter, _ColorfulFormatter)


class LogFile(logging.FileHandler):
    """Everything, without the colours that detectron2 puts into some messages."""

    def __init__(self, path: str, kind: Kind | None = None) -> None:
        """
        Args:
            path: of the file.
            kind: of config, whose keys are added to the arguments that messages name.
        """
        super().__init__(path, encoding="utf-8")
        self.kind = kind

    def format(self, record: logging.LogRecord) -> str:
        text = logging.Formatter(_IN_FILE, _TIME).format(record)
        return with_keys(_COLOUR.sub("", text), self.kind)


class Terminal(logging.StreamHandler):
    """Warnings, the summaries and the progress; of long warnings the beginning.

    Before the progress, FIRST_LINES lines of warnings are shown. Colours are for terminals only.
    """

    def __init__(self, stream: TextIO, verbose: bool = False, kind: Kind | None = None) -> None:
        """
        Args:
            stream: where to.
            verbose: show everything.
            kind: of config, whose keys are added to the arguments that messages name.
        """
        super().__init__(stream)
        self.kind = kind
        self.verbose = verbose
        self.colours = has_colours(stream)
        self.bars = has_bars(stream) and not verbose  # in place of the lines of progress
        self._left = FIRST_LINES
        self._trains = False

    def emit(self, record: logging.LogRecord) -> None:
        self._trains = self._trains or record.name == PROGRESS
        if self._shows(record):
            with Bar.external_write_mode(self.stream):  # bars make way
                super().emit(record)

    def _shows(self, record: logging.LogRecord) -> bool:
        if getattr(record, "only_in_file", False):  # who asked for it says it by himself
            return False
        if self.verbose:
            return True
        if self.bars and record.name == PROGRESS:
            return False
        if record.levelno < logging.WARNING:
            return record.name in FOR_A_PERSON
        return record.name not in ABOUT_NOTHING and (self._trains or self._left >= 0)

    def format(self, record: logging.LogRecord) -> str:
        if self.verbose:
            text = logging.Formatter(_IN_FULL, _TIME).format(record)
        elif record.levelno < logging.WARNING:
            text = record.getMessage()
        else:
            text = self._beginning(record)
        if record.levelno >= logging.WARNING:
            text = f"{self._mark(record)} {text}"
        text = with_keys(text, self.kind)
        return text if self.colours else _COLOUR.sub("", text)

    def _beginning(self, record: logging.LogRecord) -> str:
        lines = [line for line in record.getMessage().splitlines() if line.strip()]
        shown = lines[:WARNING_LINES]
        if len(lines) > len(shown):
            shown[-1] += f" ... ({len(lines) - len(shown)} more lines in log.txt)"
        if not self._trains:
            self._left -= len(shown)
            if self._left < 0:
                return "there are more of these: see log.txt"
        return "\n".join(shown)

    def _mark(self, record: logging.LogRecord) -> str:
        word = f"{record.levelname.lower()}:"
        colour = _YELLOW if record.levelno == logging.WARNING else _RED
        return f"{colour}{word}{_PLAIN}" if self.colours else word


def has_colours(stream: TextIO) -> bool:
    """Whether it is a terminal whose user has not switched colours off (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")
