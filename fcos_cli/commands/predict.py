"""`fcos predict`."""

import argparse
from pathlib import Path

from .. import flags, values
from ..exit_codes import WrongUse
from ..model_choice import config_of

SUMMARY = "detect objects in images, folders, a video or a camera, and draw them"

EXAMPLES = """\
fcos predict photos/ "frames/*.png" --weights output/mine/model_best.pth --output drawn/
fcos predict --video street.mp4 --weights output/mine/model_best.pth --output drawn.mp4
fcos predict --camera --config FCOS-RT/R50 --weights FCOS_RT_MS_R_50_4x.pth
count what crosses a line: --video street.mp4 --track --count-line 0,400,1280,400
small objects in large images: --slice 640"""


THRESHOLD = "default: what the config says (TEST.SCORE_THRESH), else 0.5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument(
        "images", nargs="*", metavar="IMAGE", help="image files, folders, or patterns in quotes"
    )
    parser.add_argument("--video", metavar="FILE", help="video file")
    parser.add_argument("--camera", nargs="?", type=int, const=0, metavar="INDEX", help="camera")
    flags.add_model(parser)
    flags.add(parser, "--output", note="default: show in a window", type=Path)
    flags.add(parser, "--threshold", note=THRESHOLD)
    add_detecting(parser)
    add_tracking(parser)
    flags.add(parser, "--opts")


def add_detecting(parser: argparse.ArgumentParser) -> None:
    """How to detect."""
    flags.add(parser, "--slice", "--slice-overlap", "--tta", "--agnostic-nms")
    flags.add(parser, "--device", "--precision")
    parser.add_argument(
        "--compile", action="store_true", help="with torch.compile: slow start, then faster"
    )
    flags.add(parser, "--winograd")


def add_tracking(parser: argparse.ArgumentParser) -> None:
    """What to do with the objects of a video."""
    group = parser.add_argument_group("tracking in videos (pip install 'fcos_d2[track]')")
    group.add_argument(
        "--track",
        action="store_true",
        help="number the objects, draw their trails, and write OUTPUT.mot.txt beside the video",
    )
    group.add_argument(
        "--count-line",
        action="append",
        default=[],
        type=values.line,
        metavar="X1,Y1,X2,Y2",
        help="count the objects that cross a line, px; may be given several times",
    )
    group.add_argument(
        "--count-zone",
        action="append",
        default=[],
        type=values.polygon,
        metavar="X1,Y1,X2,Y2,X3,Y3,...",
        help="count the objects in a polygon, px; may be given several times",
    )


def run(arguments: argparse.Namespace) -> int:
    """Returns 0 if anything was processed, else 1."""
    import signal
    from contextlib import ExitStack

    if sum(x not in (None, []) for x in (arguments.images, arguments.video, arguments.camera)) != 1:
        raise WrongUse("name images, or --video FILE, or --camera")
    if arguments.track and arguments.images:
        raise WrongUse("--track is for --video FILE and --camera")
    if (arguments.count_line or arguments.count_zone) and not arguments.track:
        raise WrongUse("--count-line and --count-zone need --track")
    arguments.config = config_of(arguments)
    from ..drawing import prepare

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: files are closed
    with ExitStack() as stack:
        job = prepare(arguments, stack)
        return 0 if job() else 1
