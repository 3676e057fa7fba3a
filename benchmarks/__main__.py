"""Measures fcos_d2, side by side with other implementations where asked.

    python -m benchmarks model --config-file FCOS-RT/R50 --peer torchvision --peer detectron2
    python -m benchmarks model --config-file FCOS-RT/R50 --export output/r50-onnx
    python -m benchmarks assignment --peer torchvision --peer detectron2
    python -m benchmarks suite

Prints Markdown: the hardware, the versions, then the tables. The measurements themselves are in
the files beside this one.
"""

import argparse
import os
import re
import sys
import warnings
from functools import partial

import torch

from benchmarks.subjects import PEERS, PRECISIONS
from benchmarks.suite import DEFAULT_PAGE, SECTIONS, run_suite
from fcos_deploy.door import enter

SIZES = ((512, 736), (416, 608), (320, 448), (800, 1333))


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add_model_parser(commands)
    add_assignment_parser(commands)
    add_suite_parser(commands)
    argv = sys.argv[1:] if argv is None else argv
    # `--suite` is the command in the guise of an option.
    arguments = parser.parse_args(["suite" if word == "--suite" else word for word in argv])
    warnings.filterwarnings("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"  # for the processes that memory is measured in
    return enter(partial(arguments.run, arguments))


def add_command(
    commands: argparse._SubParsersAction, name: str, help: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=help, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )


def add_model_parser(commands: argparse._SubParsersAction) -> None:
    parser = add_command(commands, "model", "whole detectors: time, memory, GFLOP, parts apart")
    parser.set_defaults(run=run_model)
    parser.add_argument("--config-file", required=True, help="name in the model zoo or a file")
    parser.add_argument("--weights", help="checkpoint; random ones if not given")
    parser.add_argument(
        "--export",
        action="append",
        default=[],
        metavar="DIR",
        help="measure this export, too: a folder with infer.yaml; repeatable",
    )
    parser.add_argument(
        "--size",
        type=size,
        nargs="+",
        default=list(SIZES[:1]),
        metavar="HxW",
        help="of the network's input, px; usual ones: "
        + " ".join(f"{height}x{width}" for height, width in SIZES),
    )
    parser.add_argument(
        "--batch", type=positive, nargs="+", default=[1], metavar="N", help="images of one call"
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="by autocast")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of torch")
    parser.add_argument("--output", metavar="DIR", help="write benchmark.md and benchmark.json")
    add_shared_arguments(parser, repeats=11)


def add_assignment_parser(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands, "assignment", "time and memory to assign the locations of an image to its boxes"
    )
    parser.set_defaults(run=run_assignment)
    parser.add_argument(
        "--boxes", type=int, nargs="+", default=[10, 100, 500, 2000], help="boxes of the image"
    )
    parser.add_argument("--height", type=int, default=800, help="of the image, px")
    parser.add_argument("--width", type=int, default=1333, help="of the image, px")
    parser.add_argument(
        "--center-sampling-radius",
        type=radius_or_none,
        default=1.5,
        help='strides, or "none" for every location inside a box (fcos_d2 only)',
    )
    parser.add_argument("--seed", type=int, default=0, help="of the boxes")
    add_shared_arguments(parser, repeats=21)


def add_suite_parser(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands, "suite", "everything against its target, into a page of the documentation"
    )
    parser.set_defaults(run=run_suite)
    parser.add_argument("--output", default=DEFAULT_PAGE, metavar="FILE", help="the page")
    parser.add_argument(
        "--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="only these"
    )
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads(), help="torch's")


def add_shared_arguments(parser: argparse.ArgumentParser, repeats: int) -> None:
    parser.add_argument(
        "--peer",
        choices=PEERS,
        action="append",
        default=[],
        help="measure this one, too; repeatable",
    )
    parser.add_argument("--warmup", type=int, default=3, help="calls before the measured ones")
    parser.add_argument("--repeats", type=positive, default=repeats, help="measured calls")
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads(), help="torch's")


def size(text: str) -> tuple[int, int]:
    """Height and width of "512x736"."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; height x width, as 512x736")
    return int(found[1]), int(found[2])


def positive(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def radius_or_none(text: str) -> float | None:
    return None if text == "none" else float(text)


def run_model(arguments: argparse.Namespace) -> None:
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no GPU; leave it out to measure the CPU")
    # Imported here: detectron2 takes seconds, which --help need not wait for.
    from benchmarks.model import run_model

    run_model(arguments)


def run_assignment(arguments: argparse.Namespace) -> None:
    from benchmarks.assignment import run_assignment

    run_assignment(arguments)


if __name__ == "__main__":
    sys.exit(main())
