"""`fcos convert`."""

import argparse
from pathlib import Path

from .. import flags

SUMMARY = "turn a dataset into COCO json, or into another format"

EXAMPLES = """\
fcos convert VOCdevkit/VOC2007:trainval --output voc07.json
fcos convert boxes.csv --classes classes.csv --output boxes.json
fcos convert boxes.json --images photos/ --format yolo --output yolo/

Images are not copied; YOLO and VOC folders get a link to them. What is wrong is left out or
repaired, and listed. For weights of other projects see fcos convert-checkpoint."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("data", metavar="DATA", help=flags.VOCABULARY["--data"]["help"])
    flags.add(parser, "--output", required=True, type=Path)
    flags.add(
        parser, "--format", choices=flags.DATA_FORMATS[1:], default="coco", note="default: coco"
    )
    flags.add(parser, "--images", "--data-format", "--classes")


def run(arguments: argparse.Namespace) -> None:
    """Converts; raises ValueError or OSError with what is wrong."""
    from fcos_d2.datasets.formats import read_dataset, write_dataset
    from fcos_d2.datasets.problems import summarise
    from fcos_deploy.text import say, shown

    data, classes = arguments.data, arguments.classes
    read = read_dataset(
        data, images=arguments.images, classes=classes, format=arguments.data_format
    )
    written = write_dataset(read.coco, read.images, arguments.output, arguments.format)
    for line in summarise(read.problems):
        say(line)
    counts = ", ".join(f"{len(read.coco[key])} {key}" for key in ("images", "annotations"))
    names = ", ".join(shown(category["name"]) for category in read.coco["categories"])
    say(f"{data} ({read.format}): {counts}; classes {names}")
    say(f"wrote {written}; its images are in {read.images}")
