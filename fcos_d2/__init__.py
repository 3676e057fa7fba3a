"""FCOS and FCOS-RT for detectron2; importing registers the models."""

import os
import sys
import warnings

__version__ = "0.2.0"


def _is_the_command() -> bool:
    """Whether Python only looks for `python -m fcos_d2`: the command imports what it needs later.

    While it looks, `sys.argv` starts with "-m" for the module's name and what is before it.
    """
    argv = getattr(sys, "argv", [])
    return argv[:1] == ["-m"] and sys.orig_argv[-len(argv)] in ("fcos_d2", "-mfcos_d2")


if not _is_the_command():
    # Read when torch loads. By default its CPU threads wait for each other by spinning for long,
    # which makes a training step several times slower as soon as another program wants one of the
    # cores; asleep, they wake too late for small layers. So GNU's OpenMP spins for some 20 us
    # before it sleeps (measured: docs/benchmarks.md), and others, which have no such count, sleep.
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}

    try:
        with warnings.catch_warnings():
            # fvcore compiles a loss on import, in a way that torch is about to drop; nothing here
            # uses it.
            warnings.filterwarnings(
                "ignore", message=".*torch.jit.script.*", category=FutureWarning
            )
            import detectron2.modeling  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "detectron2":
            raise
        raise ModuleNotFoundError(
            "fcos_d2 needs detectron2, which has no PyPI release. Run `fcos install-detectron2` "
            "for the pure-Python copy, or see the README for the official build with CUDA.",
            name="detectron2",
        ) from None

    from . import model_zoo
    from .allocator import keep_freed_memory
    from .config import add_fcos_config, get_cfg
    from .config_targets import allow_config_targets
    from .datasets.shapes import register_shapes
    from .engine.clipping import register_clipping
    from .modeling import FCOS, FCOSHead, FCOSProposalGenerator
    from .predictor import Predictor

    register_clipping()
    register_shapes()  # names only; the pictures are drawn when the dataset is loaded

__all__ = [
    "FCOS",
    "FCOSHead",
    "FCOSProposalGenerator",
    "Predictor",
    "add_fcos_config",
    "allow_config_targets",
    "get_cfg",
    "keep_freed_memory",
    "model_zoo",
    "register_shapes",
]
