"""Measures fcos_d2, side by side with other implementations where asked.

    python -m benchmarks model --config FCOS-RT/R50 --peer torchvision --peer detectron2
    python -m benchmarks model --config FCOS-RT/R50 --export output/r50-onnx
    python -m benchmarks assignment --peer torchvision --peer detectron2
    python -m benchmarks suite
    python -m benchmarks made-sets --output output/made
    python -m benchmarks peers-training --data output/made/print --minutes 10 --seeds 1 2 3

Prints Markdown: the hardware, the versions, then the tables. The measurements themselves are in
the files beside this one.
"""

import argparse
import os
import sys
import warnings
from functools import partial
from pathlib import Path

import torch

from benchmarks import train_beside_peers
from benchmarks.made_sets import SETS, run_made_sets
from benchmarks.peers import PEERS
from benchmarks.suite import DEFAULT_PAGE, SECTIONS, run_suite
from fcos_cli.commands import benchmark
from fcos_cli.values import positive
from fcos_d2.benchmark.subjects import Recipe
from fcos_deploy.door import enter


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add_model_parser(commands)
    add_assignment_parser(commands)
    add_suite_parser(commands)
    add_made_sets_parser(commands)
    add_peers_training_parser(commands)
    argv = sys.argv[1:] if argv is None else argv
    # `--suite` is the command in the guise of an option.
    arguments = parser.parse_args(["suite" if word == "--suite" else word for word in argv])
    warnings.filterwarnings("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"  # for the processes that memory is measured in
    return enter(partial(arguments.run, arguments))


def add_command(
    commands: argparse._SubParsersAction, name: str, help: str
) -> argparse.ArgumentParser:
    """A subcommand whose help shows the defaults."""
    return commands.add_parser(
        name, help=help, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )


def add_model_parser(commands: argparse._SubParsersAction) -> None:
    """`model`: time of whole detectors."""
    parser = add_command(commands, "model", "`fcos benchmark` with other implementations beside")
    parser.set_defaults(run=run_model)
    benchmark.add_arguments(parser)
    add_peer(parser)


def add_assignment_parser(commands: argparse._SubParsersAction) -> None:
    """`assignment`: time and memory of the assignment alone."""
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
    """`suite`: the page of the documentation."""
    parser = add_command(
        commands, "suite", "everything against its target, into a page of the documentation"
    )
    parser.set_defaults(run=run_suite)
    parser.add_argument("--output", default=DEFAULT_PAGE, metavar="FILE", help="the page")
    parser.add_argument(
        "--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="only these"
    )
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads(), help="torch's")


def add_made_sets_parser(commands: argparse._SubParsersAction) -> None:
    """`made-sets`: data to train on."""
    parser = add_command(commands, "made-sets", "draw six data sets that are unlike each other")
    parser.set_defaults(run=run_made_sets)
    parser.add_argument("--output", type=Path, required=True, help="a folder for all of them")
    parser.add_argument("--only", choices=SETS, action="append", help="this one; repeatable")
    parser.add_argument("--test-images", type=positive, help="to test on, instead of 60")


def add_peers_training_parser(commands: argparse._SubParsersAction) -> None:
    """`peers-training`: accuracy after equal time."""
    help = "`fcos train` on your data beside the FCOS of torchvision and detectron2, in equal time"
    parser = add_command(commands, "peers-training", help)
    parser.set_defaults(run=train_beside_peers.run_peers_training)
    train_beside_peers.add_arguments(parser)


def add_peer(parser: argparse.ArgumentParser) -> None:
    """--peer, another implementation."""
    parser.add_argument(
        "--peer",
        choices=PEERS,
        action="append",
        default=[],
        help="measure this one, too; repeatable",
    )


def add_shared_arguments(parser: argparse.ArgumentParser, repeats: int) -> None:
    """What every measurement takes; `repeats` is a default."""
    add_peer(parser)
    parser.add_argument("--warmup", type=int, default=3, help="calls before the measured ones")
    parser.add_argument("--repeats", type=positive, default=repeats, help="measured calls")
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads(), help="torch's")


def radius_or_none(text: str) -> float | None:
    """The number, or None of "none"."""
    return None if text == "none" else float(text)


def run_model(arguments: argparse.Namespace) -> None:
    """`fcos benchmark`, with the peers beside it."""
    shared = {"precision": arguments.precision, "device": arguments.device}
    benchmark.run(arguments, [Recipe(PEERS[name], **shared) for name in arguments.peer])


def run_assignment(arguments: argparse.Namespace) -> None:
    """Import the measurement only when it is asked for."""
    from benchmarks.assignment import run_assignment

    run_assignment(arguments)


if __name__ == "__main__":
    sys.exit(main())
