"""Run an exported detector on images, a video or a camera.

python -m fcos_deploy --model exported/ --input a.jpg photos/ "frames/*.png" --output drawn/
python -m fcos_deploy --model exported/ --input photos/ --json found.json --batch 4
python -m fcos_deploy --model exported/ --video street.mp4 --output street_drawn.mp4
python -m fcos_deploy --model exported/ --play street.mp4
python -m fcos_deploy --model exported/ --camera
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, nullcontext, suppress
from functools import partial
from pathlib import Path

from .detector import Detections, Detector
from .door import enter
from .results import CocoResults, JsonFile, PlainResults
from .runner import Item, Runner
from .settings import read_settings
from .text import say, shown
from .thresholds import in_words
from .vision import (
    ImageError,
    VideoReader,
    VideoWriter,
    check_display,
    image_targets,
    list_images,
    read_image,
    show,
    video_target,
    write_image,
)

TITLE = "fcos_deploy"
OK, UNREADABLE = 0, 1


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Reads the command line; argparse ends the program with code 2 on wrong use."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="fcos_deploy",
        description=__doc__,
        formatter_class=text,
        epilog="exit code: 0 done, 1 failed on the input or the model, 2 wrong use",
    )
    parser.add_argument("--model", required=True, help="folder that `fcos export` wrote")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--input", nargs="+", help="image files, folders, or patterns in quotes")
    source.add_argument("--video", metavar="FILE", help="video file")
    source.add_argument("--play", metavar="FILE", help="video file, shown in a window at its pace")
    source.add_argument(
        "--camera", nargs="?", type=int, const=0, metavar="INDEX", help="shown in a window"
    )
    parser.add_argument("--output", type=Path, help="drawn images or video: file, or folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what is found")
    parser.add_argument(
        "--coco", metavar="ANNOTATIONS", help="--json gets COCO results for the images of this file"
    )
    parser.add_argument(
        "--score-threshold", type=float, help="lowest of a detection; default: what infer.yaml says"
    )
    parser.add_argument("--batch", type=int, default=1, help="images at a time; default: 1")
    parser.add_argument("--threads", type=int, help="of the engine; default: it chooses")
    args = parser.parse_args(argv)
    if args.coco and not (args.json and args.input):
        parser.error("--coco needs --input, and --json with the file to write")
    return args


def main(argv: list[str] | None = None) -> int:
    """Returns 0 if all is done, 1 if an input or the model is bad."""
    args = parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: files are closed
    return enter(partial(run, args))


def run(args: argparse.Namespace) -> int:
    """Returns the exit code; raises ValueError or OSError for what cannot be done."""
    if args.play or (args.camera is not None and not args.output):
        check_display()
    return run_images(args) if args.input else run_video(args)


def run_images(args: argparse.Namespace) -> int:
    """Images in, drawn images and JSON out; returns the exit code."""
    paths = list_images(args.input)
    targets = image_targets(paths, args.output) if args.output else []
    runner = load_runner(args, draws=bool(args.output))
    results = results_of(args, runner)
    target_of = dict(zip(map(str, paths), targets, strict=False))
    unreadable: list[str] = []
    with (
        JsonFile(args.json) if args.json else nullcontext() as file,
        suppress(KeyboardInterrupt),
        closing(runner.run(readable(paths, unreadable))) as items,
    ):
        for item in items:
            if file is not None:
                add_rows(file, results, item)
            found = item.found.above(runner.draw_score)
            say(f"{shown(item.name)}: {summary(found, runner.detector.settings.class_names)}")
            if item.drawn is not None:
                with runner.clock("encode"):
                    write_image(target_of[str(item.name)], item.drawn)
    stopped = runner.num_done + len(unreadable) < len(paths)
    print(f"{runner.num_done} of {len(paths)} images{', stopped' if stopped else ''}")
    print(runner.speed())
    for line in unreadable:
        print(f"skipped: {line}", file=sys.stderr)
    if unknown := getattr(results, "unknown", None):
        print(
            f"{args.json} lacks {len(unknown)} images that are not in {args.coco}, the first is "
            f"{shown(unknown[0])}",
            file=sys.stderr,
        )
    return UNREADABLE if unreadable else OK


def results_of(args: argparse.Namespace, runner: Runner) -> CocoResults | PlainResults:
    """Makes the rows of --json."""
    names = runner.detector.settings.class_names
    return CocoResults(args.coco, names) if args.coco else PlainResults(names)


def add_rows(file: JsonFile, results: CocoResults | PlainResults, item: Item) -> None:
    """What was found on an image or frame goes to --json."""
    file.add(results.rows(item.name, item.found))


def readable(paths: list[Path], unreadable: list[str]) -> Iterator[Item]:
    """The images that can be read; messages about the others are added to `unreadable`."""
    for path in paths:
        try:
            yield Item(str(path), read_image(path))
        except ImageError as error:
            unreadable.append(str(error))


def run_video(args: argparse.Namespace) -> int:
    """Frames in, a drawn video, a window and JSON out; returns the exit code."""
    source = args.camera if args.camera is not None else args.video or args.play
    shows = bool(args.play) or (args.camera is not None and not args.output)
    with ExitStack() as stack:
        try:
            reader = stack.enter_context(VideoReader(source))
        except ValueError as error:
            print(f"error: {shown(error)}", file=sys.stderr)
            return UNREADABLE
        target = video_target(source, args.output) if args.output else None
        runner = load_runner(args, draws=bool(target) or shows, is_live=reader.is_live)
        writer = None
        if target is not None:
            writer = stack.enter_context(VideoWriter(target, reader.fps, reader.size))
        pace = 1 / reader.fps if args.play else 0.0
        add = None
        if args.json:
            file = stack.enter_context(JsonFile(args.json))
            add = partial(add_rows, file, results_of(args, runner))
        frames = (Item(i, frame) for i, frame in enumerate(reader))
        items = stack.enter_context(closing(runner.run(frames)))
        complete = False
        with suppress(KeyboardInterrupt):
            complete = handle_frames(items, runner, add, writer, shows, pace)
    return report_video(reader, runner, complete, target)


def handle_frames(
    items: Iterator[Item],
    runner: Runner,
    add: Callable[[Item], None] | None,
    writer: VideoWriter | None,
    shows: bool,
    pace: float,
) -> bool:
    """Writes and shows the frames; False if the user ended it with Esc.

    Args:
        items: frames with what was found on them.
        runner: makes them.
        add: receives each item, or None.
        writer: for the drawn video, or None.
        shows: whether to show them in a window.
        pace: shortest time that a frame is shown, s.
    """
    due = time.perf_counter()
    for item in items:
        if add is not None:
            add(item)
        if writer is not None and item.drawn is not None:
            with runner.clock("encode"):
                writer.write(item.drawn)
        if shows and item.drawn is not None:
            due = max(due + pace, time.perf_counter() - pace)
            time.sleep(max(0.0, due - time.perf_counter()))
            if not show(TITLE, item.drawn, wait=False):
                return False
    return True


def report_video(reader: VideoReader, runner: Runner, complete: bool, target: Path | None) -> int:
    """Prints what was done; returns the exit code."""
    line = f"{shown(reader.name)}: {runner.num_done} frames"
    cut_short = complete and reader.frame_count is not None and runner.num_done < reader.frame_count
    if not complete:
        line += ", stopped before its end"
    elif cut_short:
        line += f", the video ends before the {reader.frame_count} that it announces"
    say(line if target is None else f"{line}; written to {shown(target)}")
    print(runner.speed())
    return UNREADABLE if cut_short else OK


def load_runner(args: argparse.Namespace, draws: bool, is_live: bool = False) -> Runner:
    """The detector of the command line and its stages."""
    detector = Detector(args.model, args.threads, args.score_threshold)
    if args.score_threshold is not None:
        chosen, names = read_settings(args.model).score, detector.settings.class_names
        if any(chosen):
            line = f"lowest score of a detection, by infer.yaml: {in_words(chosen, names)}"
            say(f"{line}; as --score-threshold says: {args.score_threshold:.4g}")
    return Runner(detector, args.batch, draws, is_live)


def summary(found: Detections, class_names: list[str]) -> str:
    """Such as "2 car, 1 person"."""
    names = [class_names[label] for label in found.classes]
    counts = {name: names.count(name) for name in names}
    return ", ".join(f"{num} {shown(name)}" for name, num in counts.items()) or "nothing"


if __name__ == "__main__":
    sys.exit(main())
