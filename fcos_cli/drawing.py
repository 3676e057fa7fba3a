"""What `fcos predict` does with images and frames: detect, draw, write or show."""

import argparse
import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

import numpy as np
from detectron2.structures import Instances
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
from fcos_deploy.pipeline import buffered
from fcos_deploy.text import say, shown
from fcos_deploy.thresholds import DRAWN, in_words
from fcos_deploy.vision import ImageError, check_display, list_images, read_image, show

from .model_choice import model_options, view_options
from .tracking import LOWEST_TRACKED, Tracking, check_tracking, start_tracking

TITLE = "fcos"
AHEAD = 4  # frames that are decoded, and that are looked at, before they are wanted


def prepare(arguments: argparse.Namespace, stack: ExitStack) -> Callable[[], int]:
    """Check and open everything; what takes long, the model, comes late.

    Args:
        arguments: of `fcos predict`.
        stack: closes what is opened.

    Returns:
        the work that is left, which returns the number of images or frames it processed.

    Raises:
        ValueError, OSError: naming what is wrong.
    """
    output = arguments.output
    if output is None:
        check_display()
    if arguments.images:
        paths = list_images(arguments.images)
        targets: list[Path | None] = [None] * len(paths)
        if output:
            targets = [*image_targets(paths, output)]
        return partial(draw_images, load_predictor(arguments), paths, targets)
    source = arguments.camera if arguments.video is None else arguments.video
    reader = stack.enter_context(VideoReader(source))
    target = video_target(source, output) if output else None
    if arguments.track:
        check_tracking(arguments, reader.size)
    predictor = load_predictor(arguments)
    writer = None
    if target is not None:
        writer = stack.enter_context(VideoWriter(target, reader.fps, reader.size))
    tracking = None
    if arguments.track:
        thresholds = lowered(predictor, LOWEST_TRACKED)
        names = predictor.class_names
        tracking = start_tracking(arguments, names, thresholds, reader.fps, target, stack)
    return partial(draw_video, predictor, reader, writer, tracking)


def load_predictor(arguments: argparse.Namespace) -> Predictor:
    """Build the model of the command line."""
    predictor = Predictor(
        **model_options(arguments),
        **view_options(arguments),
        precision=arguments.precision,
        compile=arguments.compile,
        winograd=arguments.winograd,
    )
    say_threshold(predictor, arguments.threshold)
    return predictor


def say_threshold(predictor: Predictor, given: float | None) -> None:
    """Says which score threshold is obeyed, unless there is only one; without any it is DRAWN."""
    if given is None and predictor.config_thresholds is None:
        predictor.set_threshold(DRAWN)
    elif predictor.config_thresholds is not None:
        chosen = in_words(predictor.config_thresholds, predictor.class_names)
        line = f"lowest score of a detection, by the config: {chosen}"
        say(line if given is None else f"{line}; as --threshold says: {given:.4g}")


def lowered(predictor: Predictor, lowest: float) -> np.ndarray:
    """Has a predictor give what scores less than its thresholds, too.

    Args:
        predictor: of `load_predictor`.
        lowest: score.

    Returns:
        The thresholds that it had, float32 (K,), as its scores are.
    """
    thresholds = predictor.score_thresholds
    assert thresholds is not None
    predictor.set_threshold(min(lowest, *thresholds))
    return np.array(thresholds, np.float32)


def draw_images(predictor: Predictor, paths: list[Path], targets: list[Path | None]) -> int:
    """Draw each image, report the unreadable ones, and return the number of those drawn."""
    num_drawn, unreadable = 0, []
    with suppress(KeyboardInterrupt):
        for path, target in zip(tqdm(paths, unit="image", disable=None), targets, strict=True):
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


def draw_video(
    predictor: Predictor,
    reader: VideoReader,
    writer: VideoWriter | None,
    tracking: Tracking | None = None,
) -> int:
    """Draw all frames, until the end, Ctrl-C or Esc, and return their number."""
    num_drawn, at_end = 0, False
    with suppress(KeyboardInterrupt), closing(detected(predictor, reader)) as frames:
        for frame, found in tqdm(frames, total=reader.frame_count, unit="frame", disable=None):
            drawn = draw(predictor, frame, found) if tracking is None else tracking(frame, found)
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
    if tracking is not None:
        say("\n".join(tracking.video.summary()))
    return num_drawn


def detected(
    predictor: Predictor, reader: VideoReader
) -> Generator[tuple[np.ndarray, Instances], None, None]:
    """The frames with their detections.

    Of a file they are made ahead: one thread decodes and another detects while the caller draws
    and writes. Of a camera they are made when asked for, or the picture would be an old one.
    """
    if reader.is_live:
        return ((frame, predictor(frame)) for frame in reader)
    return buffered(((frame, predictor(frame)) for frame in buffered(reader, AHEAD)), AHEAD)


def draw(predictor: Predictor, image: np.ndarray, found: Instances) -> np.ndarray:
    """The image with its detections drawn."""
    boxes, classes = found.pred_boxes.tensor.numpy(), found.pred_classes.numpy()
    names = predictor.class_names
    return draw_detections(image, boxes, classes, found.scores.numpy(), names)
