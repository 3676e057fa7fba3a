#!/usr/bin/env python3
"""Run a detector on images, a video or a camera; `fcos predict` under the flags of other demos.

demo/demo.py --config-file NAME_OR_PATH --input a.jpg photos/ "frames/*.png" --output drawn/
demo/demo.py --config-file NAME_OR_PATH --video-input street.mp4 --output street_drawn.mp4
demo/demo.py --config-file NAME_OR_PATH --webcam
"""

import argparse
import sys
from pathlib import Path

from fcos_cli import flags
from fcos_cli.commands import predict
from fcos_cli.main import enter


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """What `fcos predict` takes, from the flags that detectron2's demo has."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    flags.add(parser, "--config", instead=("--config-file",), required=True)
    flags.add(parser, "--weights", "--trust-checkpoint", "--trust-config")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--input", dest="images", nargs="+", help="image files, folders, or patterns in quotes"
    )
    source.add_argument("--video-input", dest="video", metavar="FILE", help="video file")
    source.add_argument(
        "--webcam", dest="camera", nargs="?", type=int, const=0, metavar="INDEX", help="camera"
    )
    flags.add(parser, "--output", note="default: show in a window", type=Path)
    threshold = ("--confidence-threshold",)
    flags.add(parser, "--threshold", instead=threshold, note=predict.THRESHOLD)
    predict.add_detecting(parser)
    predict.add_tracking(parser)
    flags.add(parser, "--opts")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Return 0 if anything was processed, else 1."""
    return enter(predict.run, parse_args(argv), "demo/demo.py")


if __name__ == "__main__":
    sys.exit(main())
