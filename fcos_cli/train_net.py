"""What train_net.py does: `fcos train` and `fcos eval` under the flags of detectron2's script."""

import argparse
import time

from . import flags
from .began import process_began
from .commands import train
from .exit_codes import WrongUse
from .main import Parser, enter

_EPILOG = """
examples:
  train_net.py --config-file configs/FCOS-RT/R50.yaml --num-gpus 8
  train_net.py --config-file ... --eval-only MODEL.WEIGHTS model.pth
  train_net.py --config-file configs/lazy/FCOS-RT/R50.py train.max_iter=9

`fcos train --help` says more."""


def parser() -> argparse.ArgumentParser:
    """detectron2's flags and those of `fcos train`."""
    parser = Parser(
        prog="train_net.py",
        description="Train or evaluate an FCOS detector.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add(parser, "--config", instead=("--config-file",))
    parser.add_argument("--eval-only", action="store_true", help="only evaluate")
    train.add_training(parser, old_names=True)
    flags.add(parser, "--start", "--accept-noncommercial")
    flags.add_overrides(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    arguments = parser().parse_args(argv)
    arguments.begun = process_began() if argv is None else time.monotonic()
    return enter(run, arguments, "train_net.py")


def run(arguments: argparse.Namespace) -> int:
    """Trains, or evaluates with --eval-only."""
    from .training import start

    if not arguments.config:
        raise WrongUse("--config-file is missing")
    return start(arguments, eval_only=arguments.eval_only)
