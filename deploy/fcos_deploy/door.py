"""The door of every command: what can go wrong on its way becomes one line and an exit code.

A mistake of a user is a ValueError of ours, such as `ImageError`, or an OSError: a full disk, a
folder that is none, a file that may not be read. All else is a programming error and keeps its
stack trace.
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
    # Here, where the error and all that it holds, such as processes, are gone.
    print(line, file=sys.stderr)
    return code
