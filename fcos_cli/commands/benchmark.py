"""`fcos benchmark`."""

import argparse
from typing import TYPE_CHECKING

from .. import flags
from ..exit_codes import WrongUse
from ..values import positive, size

if TYPE_CHECKING:
    from fcos_d2.benchmark.subjects import Recipe

SUMMARY = "measure time, memory and operations of a detector on this machine"

EXAMPLES = """\
fcos benchmark --config FCOS-RT/R50
fcos benchmark --config FCOS-RT/R50 --size 512x736 320x448 --batch 1 8 --device cuda
fcos benchmark --config FCOS-RT/R50 --export exported/ --output output/speed

Prints Markdown: the machine, the versions, then the tables. Weights are random unless given, and
find nothing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    flags.add(parser, "--config", required=True)
    flags.add(parser, "--weights", note="here random ones")
    flags.add(parser, "--export", note="measured, too; repeatable", action="append", default=[])
    flags.add(parser, "--size", type=size, nargs="+", default=[(512, 736)], note="default: 512x736")
    flags.add(parser, "--batch", type=positive, nargs="+", default=[1], note="default: 1")
    flags.add(parser, "--precision")
    flags.add(parser, "--device", choices=("cpu", "cuda"), default="cpu", note="here the CPU")
    flags.add(parser, "--threads", type=positive)
    parser.add_argument(
        "--warmup", type=int, default=3, metavar="N", help="calls before; default: 3"
    )
    parser.add_argument(
        "--repeats", type=positive, default=11, metavar="N", help="measured calls; default: 11"
    )
    flags.add(parser, "--output", note="a folder for benchmark.md and benchmark.json")


def run(arguments: argparse.Namespace, peers: "tuple[Recipe, ...]" = ()) -> None:
    """Measures and prints; `peers` are measured beside the detector."""
    import os

    import torch

    from fcos_d2.benchmark import model
    from fcos_d2.benchmark.subjects import Export, Recipe, detector

    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise WrongUse("--device cuda: torch finds no GPU; leave it out to measure the CPU")
    os.environ["PYTHONWARNINGS"] = "ignore"  # for the processes that memory is measured in
    threads = arguments.threads or torch.get_num_threads()
    shared = {"precision": arguments.precision, "device": arguments.device}
    recipes = [
        Recipe(detector, arguments.config, arguments.weights, **shared),
        *(Recipe(Export, folder, threads=threads) for folder in arguments.export),
        *peers,
    ]
    plan = model.Plan(
        recipes=recipes,
        sizes=arguments.size,
        batches=arguments.batch,
        warmup=arguments.warmup,
        repeats=arguments.repeats,
        threads=threads,
    )
    model.run(plan, arguments.output)
