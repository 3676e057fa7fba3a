"""The door of every command: what goes wrong behind it becomes one line and an exit code.

A user's mistake is a ValueError of ours, such as `ImageError`, or an OSError: a full disk, a file
in place of a folder, a missing permission. Anything else is a programming error and keeps its stack
trace.
"""

import sys
from collections.abc import Callable

from .text import shown
from .writing import describe

MISTAKES = (ValueError, OSError)
FAILED, INTERRUPTED = 1, 130  # 128 + SIGINT


def enter(main: Callable[[], int | None]) -> int:
    """Runs a command.

    Args:
        main: the command; returns its exit code, or None for 0.

    Returns:
        The exit code: 1 after a mistake, 130 after Ctrl-C.
    """
    try:
        return main() or 0
    except MISTAKES as error:
        line, code = f"error: {shown(describe(error))}", FAILED
    except KeyboardInterrupt:
        line, code = "interrupted", INTERRUPTED
    # Here the error is gone, and with it what it kept alive, such as processes.
    print(line, file=sys.stderr)
    return code
