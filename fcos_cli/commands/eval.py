"""`fcos eval`."""

import argparse

from .. import flags
from ..model_choice import config_of

SUMMARY = "measure the average precision of a detector on a dataset"

EXAMPLES = """\
fcos eval --weights output/mine/model_best.pth --data val.json --images val/
fcos eval --config FCOS-RT/R50 --weights FCOS_RT_MS_R_50_4x.pth
fcos eval --weights output/mine/model_best.pth --data data.yaml:test TEST.SLICE.SIZE 640"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    flags.add_model(parser)
    flags.add(parser, "--data", note="default: the test set of the config")
    flags.add(parser, "--images", "--data-format", "--classes")
    flags.add(parser, "--output", note="a folder; default: the one that the config names")
    flags.add(parser, "--device", "--verbose")
    flags.add_processes(parser)
    flags.add_overrides(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluates; returns the exit code."""
    from ..training import start

    arguments.config = config_of(arguments)
    data = {"val_data": arguments.data, "val_images": arguments.images}
    return start(arguments, eval_only=True, **data)
