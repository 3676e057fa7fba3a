"""What the exit code of a command says; the same for all of them."""

DONE, FAILED, WRONG_USE, SIGNIFICANTLY_WORSE = 0, 1, 2, 3

TABLE = (
    ("0", "done"),
    ("1", "failed on the input: data, config, weights or a disk; one line says which"),
    ("2", "wrong use of the command"),
    ("3", "fcos compare: the second model is significantly worse"),
    ("75", "a training process lost the others"),
    ("124", "a training process got stuck"),
    ("130", "ended by Ctrl-C; 137, 138, 143: by SIGKILL, SIGUSR1, SIGTERM"),
)


class WrongUse(ValueError):
    """Options that do not go together, or one that is missing."""


def as_text() -> str:
    """The table for the end of a help text."""
    return "\n".join(["exit codes:", *(f"  {code:<4}{meaning}" for code, meaning in TABLE)])
