"""`fcos compare`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .. import flags
from ..exit_codes import SIGNIFICANTLY_WORSE, WrongUse

if TYPE_CHECKING:
    from fcos_d2.evaluation.results import DetectionSet

SUMMARY = "tell whether one detector is better than another, and where"

EXAMPLES = """\
fcos compare output/old/model_best.pth output/new/model_best.pth
fcos compare old_results.json new_results.json --data val.json --images val/
for CI of a model, exit code 3 if it has lost more than half a point of AP for certain:
fcos compare released.pth candidate.pth --data val.json --images val/ --tolerance 0.5

A and B are checkpoints, each run by the config.yaml beside it, or COCO results files of any
detectors. Without --data, the test set is that of the first checkpoint's config."""

FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("a", metavar="A", help="checkpoint, or COCO results file (.json)")
    parser.add_argument("b", metavar="B", help="the one that may be better or worse than A")
    flags.add(parser, "--data", note="default: the test set of A's config")
    flags.add(parser, "--images", "--data-format", "--classes")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="POINTS",
        help="of AP, in percent, that B may lose; default: 0",
    )
    parser.add_argument(
        "--figure", choices=FIGURES, default="AP", help="that B is judged by; default: AP"
    )
    parser.add_argument(
        "--resamples", type=int, default=1000, metavar="N", help="of the images; default: 1000"
    )
    flags.add(parser, "--output", type=Path, note="default: compare.json", default="compare.json")
    flags.add(parser, "--device", "--trust-checkpoint", "--trust-config", "--verbose")


def run(arguments: argparse.Namespace) -> int:
    """Compares; returns the exit code."""
    check(arguments)
    from fcos_d2.evaluation.comparison import compare
    from fcos_deploy.text import say
    from fcos_deploy.writing import write_text

    from ..comparing import as_json, data_sets, output_file, table

    output = output_file(arguments.output)
    sets: tuple[DetectionSet, DetectionSet] = data_sets(arguments)
    result, verdict = compare(
        *sets,
        tolerance=arguments.tolerance,
        figure=arguments.figure,
        resamples=arguments.resamples,
        names=(arguments.a, arguments.b),
    )
    write_text(output, as_json(result))
    say(table(result))
    say(f"written to {output}")
    say(verdict.text)
    return SIGNIFICANTLY_WORSE if verdict.worse else 0


def check(arguments: argparse.Namespace) -> None:
    """Raises WrongUse for options that do not fit each other."""
    if not 0 <= arguments.tolerance <= 100:
        raise WrongUse(f"--tolerance must be in [0, 100] percent, got {arguments.tolerance:g}")
    if arguments.resamples < 100:
        raise WrongUse(f"--resamples must be at least 100, got {arguments.resamples}")
    if not arguments.data:
        if arguments.a.endswith(".json") and arguments.b.endswith(".json"):
            raise WrongUse("--data is missing: on which annotations were the results made?")
        for word in ("images", "classes"):
            if getattr(arguments, word):
                raise WrongUse(f"--{word} is given without --data")
