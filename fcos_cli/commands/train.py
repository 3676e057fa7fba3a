"""`fcos train`."""

import argparse

from .. import flags
from ..exit_codes import WrongUse
from ..model_choice import take_folder

SUMMARY = "train a detector on a folder of your own data, or on a dataset of a config"

EXAMPLES = """\
fcos train my_data/ --budget 20m
fcos train --config Recipes/R18-Scratch --train-data train.json --train-images train/ \\
  --val-data val.json --val-images val/ --output output/mine
fcos train --config FCOS-RT/R50 --train-data data.yaml --val-data data.yaml:val \\
  --auto-scale SOLVER.IMS_PER_BATCH 4
fcos train --config output/mine/config.yaml --output output/mine --resume

Without --config, data, time and machine decide, as `fcos plan` shows.
A folder is recognised by itself, with its splits: exports of Roboflow, CVAT, Label Studio,
Ultralytics and FiftyOne, COCO, Pascal VOC (docs/data.md). --val-data beside it wins over its own.
Ctrl-C, SIGTERM and SIGUSR1 end it after its step, with a checkpoint for --resume; a second Ctrl-C
ends it at once. Several GPUs: --num-gpus 8, or torchrun -m fcos_d2 train, srun fcos train."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    flags.add(parser, "--config", note="default: what `fcos plan` decides")
    add_training(parser)
    flags.add_plan(parser)
    flags.add_overrides(parser, folder=True)


def add_training(parser: argparse.ArgumentParser, old_names: bool = False) -> None:
    """All flags but --config and the overrides.

    Args:
        parser: of the command.
        old_names: take --train-json and --val-json, too, which were there first.
    """
    flags.add(parser, "--weights")
    flags.add(parser, "--output", note="a folder; default: the one that the config names")
    flags.add(parser, "--device")
    flags.add(
        parser,
        "--budget",
        note="as many iterations as fit, instead of the config's number",
    )
    parser.add_argument(
        "--forecast",
        action="store_true",
        help="take a quarter of the budget for trainings on parts of the labels, and say what "
        "twice as many would likely bring",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint in the output folder"
    )
    parser.add_argument(
        "--auto-scale",
        action="store_true",
        help="scale learning rate and schedule by the real batch size over the config's; values "
        "given on the command line stay",
    )
    own = parser.add_argument_group("your own data")
    for name in ("--train-data", "--val-data"):
        old = (name, name.replace("data", "json")) if old_names else ()
        flags.add(own, name, instead=old)
    flags.add(own, "--train-images", "--val-images")
    flags.add(own, "--data-format", "--classes")
    own.add_argument(
        "--no-check", dest="check", action="store_false", help="train without what is wrong in it"
    )
    flags.add(parser, "--trust-checkpoint", "--trust-config", "--verbose")
    flags.add_processes(parser)


def run(arguments: argparse.Namespace) -> int:
    """Trains; returns the exit code."""
    arguments.folder = take_folder(arguments)
    from ..training import request_of, start, start_planned

    if arguments.config:
        return start(arguments)
    if not (arguments.folder or arguments.train_data):
        raise WrongUse(
            "a folder of data is missing, or --config: a name that `fcos zoo` lists, or a file"
        )
    return start_planned(request_of(arguments, arguments.output))
