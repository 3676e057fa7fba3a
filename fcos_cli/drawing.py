#!/usr/bin/env python3
"""Run a detector on images, a video or a camera, and draw what it finds.

demo/demo.py --config-file NAME_OR_PATH --input a.jpg photos/ "frames/*.png" --output drawn/
demo/demo.py --config-file NAME_OR_PATH --video-input street.mp4 --output street_drawn.mp4
demo/demo.py --config-file NAME_OR_PATH --webcam
Small objects in large images: add --slice 640.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from fcos_d2.predictor import Predictor
from fcos_d2.visualization import (
    VideoReader,
    VideoWriter,
    draw_detections,
    image_targets,
    video_target,
    write_image,
)
from fcos_deploy.door import enter
from fcos_deploy.pipeline import buffered
from fcos_deploy.text import say, shown
from fcos_deploy.vision import ImageError, check_display, list_images, read_image, show

if TYPE_CHECKING:  # it would load torch before fcos_d2 has set it up
    from detectron2.structures import Instances

TITLE = "fcos_d2"
AHEAD = 4  # frames that are decoded, and that are looked at, before they are wanted


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line; argparse ends the program with code 2 on wrong use."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument(
        "--config-file",
        required=True,
        help="name in the model zoo, .yaml, or .py, which is code that is run",
    )
    parser.add_argument("--weights", help="checkpoint; default: the one that the config names")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--input", nargs="+", help="image files, folders, or patterns in quotes")
    source.add_argument("--video-input", metavar="FILE", help="video file")
    source.add_argument("--webcam", nargs="?", type=int, const=0, metavar="INDEX", help="camera")
    parser.add_argument(
        "--output", type=Path, help="file, or folder that is made; default: show in a window"
    )
    parser.add_argument("--confidence-threshold", type=float, default=0.5, help="lowest score")
    parser.add_argument(
        "--slice", type=int, metavar="PX", help="look at large images in tiles of this side, too"
    )
    parser.add_argument(
        "--slice-overlap", type=float, metavar="SHARE", help="of a tile with the next; default: 0.2"
    )
    # None leaves it to the config.
    parser.add_argument(
        "--tta", action="store_true", default=None, help="merge several sizes and the mirror image"
    )
    parser.add_argument("--device", help="cpu, cuda, ...; default: the GPU if there is one")
    parser.add_argument(
        "--precision", choices=("fp32", "bf16", "fp16"), default="fp32", help="of the convolutions"
    )
    parser.add_argument(
        "--compile", action="store_true", help="with torch.compile: slow start, then faster"
    )
    parser.add_argument(
        "--winograd", action="store_true", help="faster towers on CPUs, outputs within 1e-4"
    )
    parser.add_argument(
        "--trust-checkpoint", metavar="FILE", help="open this pickle, which can run code"
    )
    parser.add_argument(
        "--trust-config",
        action="store_true",
        help="let the config.yaml of a python config call whatever it names",
    )
    parser.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], help="last: config keys and values"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Return 0 if anything was processed, else 1."""
    args = parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: files are closed
    return enter(partial(run, args))


def run(args: argparse.Namespace) -> int:
    """Return the exit code; raise ValueError or OSError for what cannot be done."""
    with ExitStack() as stack:
        job = prepare(args, stack)
        return 0 if job() else 1


def prepare(args: argparse.Namespace, stack: ExitStack) -> Callable[[], int]:
    """Check and open everything; what takes long, the model, comes late.

    Returns:
        the work that is left, which returns the number of images or frames it processed.
    Raises:
        ValueError, OSError: naming what is wrong.
    """
    if args.output is None:
        check_display()
    if args.input:
        paths = list_images(args.input)
        targets = image_targets(paths, args.output) if args.output else [None] * len(paths)
        return partial(draw_images, load_predictor(args), paths, targets)
    source = args.webcam if args.video_input is None else args.video_input
    reader = stack.enter_context(VideoReader(source))
    target = video_target(source, args.output) if args.output else None
    predictor = load_predictor(args)
    writer = target and stack.enter_context(VideoWriter(target, reader.fps, reader.size))
    return partial(draw_video, predictor, reader, writer)


def load_predictor(args: argparse.Namespace) -> Predictor:
    """Build the model of the command line."""
    return Predictor(
        args.config_file,
        args.weights,
        confidence_threshold=args.confidence_threshold,
        slice_size=args.slice,
        slice_overlap=args.slice_overlap,
        tta=args.tta,
        device=args.device,
        precision=args.precision,
        compile=args.compile,
        winograd=args.winograd,
        opts=args.opts,
        trust_checkpoint=args.trust_checkpoint,
        trust_config=args.trust_config,
    )


def draw_images(predictor: Predictor, paths: list[Path], targets: list[Path | None]) -> int:
    """Draw each image, report the unreadable ones, and return the number of those drawn."""
    num_drawn, unreadable = 0, []
    with suppress(KeyboardInterrupt):
        for path, target in zip(tqdm(paths, unit="image"), targets, strict=True):
            try:
                image = read_image(path)
            except ImageError as error:
                unreadable.append(str(error))
                tqdm.write(f"skipped: {error}", file=sys.stderr)
                continue
            start = time.perf_counter()
            found = predictor(image)
            drawn = draw(predictor, image, found)
            line = f"{shown(path)}: {len(found)} detections in {time.perf_counter() - start:.2f} s"
            renamed = target is not None and target.name != path.name
            if target is not None:
                write_image(target, drawn)
            say(f"{line}, written to {shown(target)}" if renamed else line, tqdm.write)
            num_drawn += 1
            if target is None and not show(TITLE, drawn, wait=True):
                break
    print(f"{num_drawn} of {len(paths)} images drawn, {len(unreadable)} unreadable", end="")
    print(":" if unreadable else "", *unreadable, sep="\n  ")
    return num_drawn


def draw_video(predictor: Predictor, reader: VideoReader, writer: VideoWriter | None) -> int:
    """Draw all frames, until the end, Ctrl-C or Esc, and return their number."""
    num_drawn, at_end = 0, False
    with suppress(KeyboardInterrupt), closing(looked_at(predictor, reader)) as frames:
        for frame, found in tqdm(frames, total=reader.frame_count, unit="frame"):
            drawn = draw(predictor, frame, found)
            if writer is not None:
                writer.write(drawn)
            num_drawn += 1
            if writer is None and not show(TITLE, drawn, wait=False):
                break
        else:
            at_end = True
    announced = reader.frame_count
    line = f"{shown(reader.name)}: {num_drawn} frames drawn"
    if not at_end:
        line += ", stopped before its end"
    elif announced is not None and num_drawn < announced:
        line += f", the video ends before the {announced} frames that it announces"
    say(line if writer is None else f"{line}; written to {shown(writer.path)}")
    return num_drawn


def looked_at(
    predictor: Predictor, reader: VideoReader
) -> Iterator[tuple[np.ndarray, "Instances"]]:
    """The frames with their detections.

    Of a file they are made ahead: one thread decodes and another detects while the caller draws
    and writes. Of a camera they are made when asked for, or the picture would be an old one.
    """
    if reader.is_live:
        return ((frame, predictor(frame)) for frame in reader)
    return buffered(((frame, predictor(frame)) for frame in buffered(reader, AHEAD)), AHEAD)


def draw(predictor: Predictor, image: np.ndarray, found: "Instances") -> np.ndarray:
    """The image with its detections drawn."""
    boxes, classes = found.pred_boxes.tensor.numpy(), found.pred_classes.numpy()
    names = predictor.class_names
    return draw_detections(image, boxes, classes, found.scores.numpy(), names)


if __name__ == "__main__":
    sys.exit(main())
