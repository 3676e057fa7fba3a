"""`fcos convert`."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .. import flags
from ..exit_codes import WrongUse

if TYPE_CHECKING:
    from fcos_d2.datasets.formats import ReadDataset
    from fcos_d2.datasets.own_data import DataFiles

SUMMARY = "turn a dataset into COCO json, or into another format, or into tiles"

EXAMPLES = """\
fcos convert VOCdevkit/VOC2007:trainval --output voc07.json
fcos convert boxes.csv --classes classes.csv --output boxes.json
fcos convert boxes.json --images photos/ --format yolo --output yolo/
fcos convert photos/ --slice 640 --output tiles/   (then: fcos train tiles/)

Images are not copied; YOLO and VOC folders get a link to them. With --slice, large images are cut
into overlapping tiles for training, all sets of a folder at once. What is wrong is left out or
repaired, and listed. For weights of other projects see fcos convert-checkpoint."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("data", metavar="DATA", help=flags.VOCABULARY["--data"]["help"])
    flags.add(parser, "--output", required=True, type=Path)
    flags.add(
        parser, "--format", choices=flags.WRITTEN_FORMATS, default="coco", note="default: coco"
    )
    flags.add(parser, "--images", "--data-format", "--classes")
    flags.add(parser, "--slice", "--slice-overlap")
    parser.add_argument(
        "--min-visible",
        type=float,
        default=0.3,
        metavar="SHARE",
        help="of a box that a tile must show; default: 0.3",
    )
    parser.add_argument(
        "--empty-tiles",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="of the tiles without boxes that training gets (others get all); default: 0.1",
    )


def run(arguments: argparse.Namespace) -> None:
    """Converts; raises ValueError or OSError with what is wrong."""
    from fcos_d2.datasets.own_data import DataFiles

    if arguments.slice is None and arguments.slice_overlap is not None:
        raise WrongUse("--slice-overlap is given without --slice")
    if arguments.slice is not None and arguments.format != "coco":
        raise WrongUse("--slice writes coco; convert the tiles afterwards")
    files = DataFiles(arguments.data, arguments.images)
    if arguments.slice is None:
        _convert(arguments, files)
    else:
        _slice(arguments, files)


def _convert(arguments: argparse.Namespace, files: "DataFiles") -> None:
    from fcos_d2.datasets.formats import write_dataset
    from fcos_deploy.text import say, shown

    read = _read(arguments, files)
    written = write_dataset(read.coco, read.images, arguments.output, arguments.format)
    counts = ", ".join(f"{len(read.coco[key])} {key}" for key in ("images", "annotations"))
    names = ", ".join(shown(category["name"]) for category in read.coco["categories"])
    say(f"{files[0]} ({read.format}): {counts}; classes {names}")
    say(f"wrote {written}; its images are in {read.images}")


def _read(arguments: argparse.Namespace, files: "DataFiles") -> "ReadDataset":
    from fcos_d2.datasets.problems import summarise
    from fcos_deploy.text import say

    read = files.read(classes=arguments.classes, format=arguments.data_format)
    for line in summarise(read.problems):
        say(line)
    return read


def _slice(arguments: argparse.Namespace, files: "DataFiles") -> None:
    """Tiles of one set into the output folder, of a folder's sets into folders in it."""
    from fcos_d2.datasets.folder import find_data
    from fcos_d2.datasets.tiling import write_tiles
    from fcos_d2.evaluation.slicing import Slicing
    from fcos_deploy.text import say

    overlap = 0.2 if arguments.slice_overlap is None else arguments.slice_overlap
    slicing = Slicing(arguments.slice, overlap, full_image=False)
    sets = {"": files}
    if os.path.isdir(files.data) and files.images is None:
        found = find_data(files.data, format=arguments.data_format)
        say("\n".join(found.lines))
        given = {"train": found.train, "val": found.val, "test": found.test}
        sets = {split: given_files for split, given_files in given.items() if given_files}
    for split, given_files in sets.items():
        read = _read(arguments, given_files)
        made = write_tiles(
            read.coco,
            read.images,
            arguments.output / split,
            slicing.regions,
            min_visible=arguments.min_visible,
            # A set to measure on without them would flatter the detector.
            empty_share=arguments.empty_tiles if split in ("", "train") else 1.0,
        )
        say(f"{given_files.data}: {made}")
    say(f"wrote {arguments.output}")
