"""`fcos check`."""

import argparse
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .. import flags

if TYPE_CHECKING:
    from fcos_d2.datasets.formats import ReadDataset
    from fcos_d2.datasets.own_data import DataFiles

SUMMARY = "find what is wrong with a dataset before it costs a training"

EXAMPLES = """\
fcos check photos/ --html report.html
fcos check train.json --images train/ --val-data val.json --val-images val/
fcos check VOC2007:trainval --config FCOS/R50-1x --html voc.html
fcos check data.yaml --fix repaired.json

Decodes every image, and holds the sizes of the boxes against the levels of a detector at its
training resolution. The exit code is 1 for errors, which stop training; warnings, which training
repairs by itself, count with --strict."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("data", metavar="DATA", help=flags.VOCABULARY["--data"]["help"])
    flags.add(parser, "--images")
    flags.add(parser, "--val-data", note="to find images that both sets have")
    flags.add(parser, "--val-images", "--data-format", "--classes")
    flags.add(
        parser,
        "--config",
        default="FCOS-RT/R50",
        note="the detector to train; default: FCOS-RT/R50",
    )
    flags.add(parser, "--trust-config")
    parser.add_argument(
        "--no-images", dest="decode", action="store_false", help="look at no image file (COCO)"
    )
    parser.add_argument("--strict", action="store_true", help="exit code 1 for warnings, too")
    flags.add(parser, "--workers")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report with pictures")
    parser.add_argument("--fix", type=Path, metavar="FILE", help="write it repaired, as COCO json")


def run(arguments: argparse.Namespace) -> int:
    """Checks; returns the exit code, and raises ValueError or OSError for what is no dataset."""
    from fcos_d2.datasets.check import check_dataset
    from fcos_d2.datasets.formats import write_dataset
    from fcos_deploy.text import say
    from fcos_deploy.writing import write_text

    data, decode = arguments.data, arguments.decode
    files, val_files = sets_of(arguments)
    given = {"classes": arguments.classes, "format": arguments.data_format, "decode": decode}
    # Without a look at the files, sizes must be in the annotations; only COCO has them.
    read = files.read(**given)
    val = val_files and val_files.read(**given)
    report = check_dataset(
        data,
        read.coco,
        read.images,
        read.problems,
        *detector_of(arguments, read),
        val=val.coco if val else None,
        val_images=val.images if val else None,
        decode=decode,
        workers=arguments.workers,
    )
    say(report.text())
    if arguments.html:
        write_text(arguments.html, report.html())
        say(f"wrote {arguments.html}")
    if arguments.fix:
        write_dataset(report.coco, read.images, arguments.fix, "coco")
        changed = [problem for problem in report.problems if problem.repair]
        differs = "which differs in:" if changed else "the same"
        say(f"wrote {arguments.fix}, {differs}")
        say("\n".join(f"  {problem}" for problem in changed))
    return int(report.exit_code >= (1 if arguments.strict else 2))


def sets_of(arguments: argparse.Namespace) -> tuple["DataFiles", "DataFiles | None"]:
    """What is checked, and what it is held against: what is given, or the sets of a folder."""
    from fcos_d2.datasets.folder import find_data
    from fcos_d2.datasets.own_data import DataFiles
    from fcos_deploy.text import say

    files, val = DataFiles(arguments.data, arguments.images), None
    if arguments.val_data:
        val = DataFiles(arguments.val_data, arguments.val_images)
    if os.path.isdir(arguments.data) and not arguments.images:
        found = find_data(arguments.data, format=arguments.data_format)
        say("\n".join(found.lines))
        files, val = found.train, val or found.val
    return files, val


def detector_of(arguments: argparse.Namespace, read: "ReadDataset") -> tuple:
    """What the config assigns with, and the sizes that its training gives images.

    Args:
        arguments: of this command.
        read: the dataset; what training with masks would refuse is added to its problems.
    """
    import torch

    from fcos_d2 import model_zoo
    from fcos_d2.data.input_size import sizes_after
    from fcos_d2.datasets.training_set import learned_fields
    from fcos_d2.engine import run_of

    run = run_of(model_zoo.get_config(arguments.config, trust_config=arguments.trust_config))
    if run.masks == "required":
        learned_fields(read.coco, run.masks, read.problems)  # for what it says
    with torch.device("meta"):  # without memory behind the tensors
        generator = run.on("meta").build_model().proposal_generator
    return generator, partial(sizes_after, run.build_train_mapper().input_size.resize)
