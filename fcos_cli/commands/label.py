"""`fcos label`."""

import argparse
from pathlib import Path

from .. import flags, values
from ..model_choice import config_of
from .predict import THRESHOLD, add_detecting

SUMMARY = "label images for people to correct, and list those to label first"

EXAMPLES = """\
fcos label photos/ --weights output/mine/model_best.pth --output labels/
fcos label photos/ --weights output/mine/model_best.pth --output labels/ --format cvat yolo
fcos label photos/ --weights output/mine/model_best.pth --output labels/ --uncertain 50

Images that have labels already, in their folder or in the output, keep them and are passed over.
--uncertain N also writes uncertain.csv, the images whose labels would teach the detector most."""

FORMATS = ("coco", "yolo", "voc", "label-studio", "cvat")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="images, at any depth")
    flags.add_model(parser)
    flags.add(parser, "--output", required=True, type=Path, note="here a folder")
    flags.add(
        parser,
        "--format",
        nargs="+",
        choices=FORMATS,
        default=["coco"],
        note="one or more; default: coco",
    )
    flags.add(parser, "--threshold", note=THRESHOLD)
    parser.add_argument(
        "--uncertain",
        type=values.positive,
        metavar="N",
        help="also list the N images to label first; takes twice the time",
    )
    parser.add_argument(
        "--image-url",
        metavar="URL",
        help="for label-studio: what stands before the file names; default: /data/local-files/?d= "
        "and the name of the folder",
    )
    add_detecting(parser)
    flags.add(parser, "--opts")


def run(arguments: argparse.Namespace) -> int:
    """Returns 0 if labels were written or all images have some, else 1."""
    import signal

    arguments.config = config_of(arguments)
    from ..labelling import label

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: labels are kept
    return label(arguments)
