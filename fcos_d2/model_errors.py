"""What goes wrong while a model is built from a config, in one line."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf.errors import OmegaConfBaseException

from .config_files import reason
from .key_effects import our_tool

# What the parts of detectron2 and torch raise for a value that they cannot work with.
_WRONG_VALUES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError),
    *(ValueError, ImportError, OmegaConfBaseException),
)


@contextmanager
def building() -> Iterator[None]:
    """Names what is wrong with a config when a tool of ours cannot build its model."""
    try:
        with our_tool():
            yield
    except _WRONG_VALUES as error:
        if type(error) is ValueError and reason(error) != "ValueError":
            raise  # of ours, mostly: it names the key
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"
        raise ValueError(
            f"the model of this config cannot be built: {reason(error)} ({where})"
        ) from error
