"""`fcos why`."""

import argparse
from pathlib import Path

from .. import flags
from ..exit_codes import WrongUse
from ..model_choice import config_of

SUMMARY = "say why an object was missed: followed through the detector's own steps"

EXAMPLES = """\
fcos why photo.jpg --box 120,40,180,95 --class cat --weights output/mine/model_best.pth
fcos why --data photos/ --annotation 4711 --weights output/mine/model_best.pth --output why/
fcos why --data photos/ --weights output/mine/model_best.pth --output why/
fcos why --data val.json --images val/ --weights model.pth --what-if nms_thresh=0.7 size=640

With --data alone: all misses of the set, how many each step costs, and what changed settings would
give. --output takes a folder: why.json, and a picture of each object that is explained."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="image with the object of --box")
    parser.add_argument(
        "--box", metavar="X1,Y1,X2,Y2", help="corners of the object, px of the image"
    )
    parser.add_argument(
        "--class",
        dest="class_name",
        metavar="NAME",
        help="of the object; default: the class whose candidate goes farthest",
    )
    flags.add(parser, "--data", note="explain its misses")
    flags.add(parser, "--images", "--data-format", "--classes")
    parser.add_argument("--annotation", metavar="ID", help="explain this object of --data alone")
    parser.add_argument(
        "--what-if",
        nargs="+",
        metavar="NAME=VALUE",
        help="of a set: settings to try, several at once with commas between them: threshold, "
        "score_thresh, nms_thresh, topk_candidates, max_detections, size, slice; default: wider "
        "limits, one by one and together",
    )
    parser.add_argument(
        "--pictures",
        type=int,
        default=10,
        metavar="N",
        help="of a set: pictures of the first N misses of each step; default: 10",
    )
    parser.add_argument("--json", action="store_true", help="print json instead of text")
    flags.add_model(parser)
    flags.add(parser, "--output", note="here a folder; default: print only", type=Path)
    flags.add(parser, "--threshold", note="default: what the config says")
    flags.add(parser, "--slice", "--slice-overlap", "--tta", "--agnostic-nms", "--device")
    flags.add(parser, "--opts")


def run(arguments: argparse.Namespace) -> None:
    """Raises ValueError or OSError with what is wrong."""
    check(arguments)
    arguments.config = config_of(arguments)
    from .. import explaining

    if arguments.image:
        explaining.explain_box(arguments)
    elif arguments.annotation:
        explaining.explain_annotation(arguments)
    else:
        explaining.explain_data(arguments)


def check(arguments: argparse.Namespace) -> None:
    """Raises WrongUse."""
    if bool(arguments.image) == bool(arguments.data):
        raise WrongUse("name an IMAGE with --box, or --data")
    if arguments.image and not arguments.box:
        raise WrongUse("--box X1,Y1,X2,Y2 is missing: where is the object?")
    if arguments.image and (arguments.annotation or arguments.what_if):
        raise WrongUse("--annotation and --what-if are for --data")
    if arguments.data and (arguments.box or arguments.class_name):
        raise WrongUse("--box and --class are for an IMAGE; --annotation ID names one of --data")
    if arguments.annotation and arguments.what_if:
        raise WrongUse("--what-if is for a whole set: leave out --annotation")
    if arguments.pictures < 0:
        raise WrongUse(f"--pictures must be at least 0, got {arguments.pictures}")
    if arguments.output and arguments.output.is_file():
        raise WrongUse(f"--output {arguments.output} is a file; give a folder")
