"""`fcos report`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .. import flags
from ..exit_codes import WrongUse
from ..model_choice import config_of

if TYPE_CHECKING:
    from fcos_d2.evaluation.report.flow import Report

SUMMARY = "know what a detector does: figures with intervals, thresholds, mistakes"

EXAMPLES = """\
fcos report --weights output/mine/model_best.pth --data val.json --images val/ --output report
fcos report --results yolo.json --data val.json --images val/
fcos report --weights new/model_best.pth --compare old/report
fcos report --weights output/mine/model_best.pth --set-threshold f1 --by-class"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    flags.add_model(parser)
    parser.add_argument(
        "--results",
        metavar="FILE",
        help="a COCO results json of any detector, instead of --weights; an earlier report has "
        "left one, results.json",
    )
    flags.add(parser, "--data", note="default: the test set of the config")
    flags.add(parser, "--images", "--data-format", "--classes")
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="OLD",
        help="an earlier report, whose numbers stand beside the new ones",
    )
    parser.add_argument(
        "--set-threshold",
        metavar="WISH",
        help="f1, precision=0.9, recall=0.95 or miss=0.1: write the score threshold that gives it "
        "into the config of the weights, which predictions and exports then obey",
    )
    parser.add_argument(
        "--by-class", action="store_true", help="with --set-threshold: one for each class"
    )
    flags.add(parser, "--export", note="gets what --set-threshold finds, too", type=Path)
    flags.add(parser, "--output", note="a folder; default: report beside the weights or results")
    parser.add_argument(
        "--max-detections",
        type=int,
        default=100,
        metavar="N",
        help="of a class in an image that count; default: 100, as COCO's metric",
    )
    parser.add_argument(
        "--no-brightness",
        dest="brightness",
        action="store_false",
        help="read no image for slices by brightness",
    )
    parser.add_argument(
        "--no-speed", dest="speed", action="store_false", help="measure no speed of the model"
    )
    flags.add(parser, "--device", "--verbose")
    flags.add_overrides(parser)


def run(arguments: argparse.Namespace) -> None:
    """Raises ValueError or OSError with what is wrong."""
    check(arguments)
    from fcos_d2.evaluation.report.page import write_page
    from fcos_d2.evaluation.report.parts import build_gallery
    from fcos_deploy.text import say

    if arguments.set_threshold:
        from ..setting_thresholds import check_places, set_threshold

        check_places(arguments)
    output = output_of(arguments)
    output.mkdir(parents=True, exist_ok=True)
    report = make(arguments, output)
    say(in_words(report))
    gallery = build_gallery(report.data, report.matches, report.numbers)
    page = write_page(report.numbers, gallery, output, report.earlier)
    say(f"wrote {page}, and report.json and model_card.md beside it")
    if arguments.set_threshold:
        set_threshold(report, arguments)


def check(arguments: argparse.Namespace) -> None:
    """Raises WrongUse."""
    if not (arguments.weights or arguments.results or arguments.config):
        raise WrongUse("--weights or --results is missing: a report of what?")
    if arguments.results and (arguments.weights or arguments.config):
        raise WrongUse("--results are there already: leave --weights and --config out")
    if arguments.results and not arguments.data:
        raise WrongUse("--results need --data, the annotations that they are held against")
    if arguments.results and (arguments.words or arguments.opts):
        raise WrongUse("overrides of a config mean nothing to --results")
    if (arguments.by_class or arguments.export) and not arguments.set_threshold:
        raise WrongUse("--by-class and --export are for --set-threshold")
    if arguments.set_threshold and arguments.results and not arguments.export:
        raise WrongUse("--set-threshold needs --weights, whose config gets it, or an --export")
    if arguments.max_detections < 1:
        raise WrongUse(f"--max-detections must be at least 1, got {arguments.max_detections}")


def output_of(arguments: argparse.Namespace) -> Path:
    """The folder of the report."""
    if arguments.output:
        return Path(arguments.output)
    beside = arguments.results or arguments.weights
    is_file = beside and Path(beside).is_file()
    return Path(beside).parent / "report" if is_file else Path("report")


def make(arguments: argparse.Namespace, output: Path) -> "Report":
    """The report, whose numbers are written."""
    from fcos_d2.datasets.own_data import DataFiles
    from fcos_d2.evaluation.report import flow

    from ..training import request_of

    data = DataFiles(arguments.data, arguments.images) if arguments.data else None
    asked = flow.Asked(
        output=output,
        data=data,
        classes=arguments.classes,
        data_format=arguments.data_format,
        compare=arguments.compare,
        brightness=arguments.brightness,
        speed=arguments.speed,
        max_dets_per_image=arguments.max_detections,
        command=["fcos", *sys.argv[1:]],
    )
    if arguments.results:
        return flow.report_of_results(arguments.results, asked)
    arguments.config = config_of(arguments)
    settings = {"val_data": arguments.data, "val_images": arguments.images, "eval_only": True}
    return flow.report_of_weights(request_of(arguments, str(output), **settings), asked)


def in_words(report: "Report") -> str:
    """The figures that one wants to know first, in a few lines."""
    from fcos_d2.evaluation.report.errors import costliest_in_words

    numbers = report.numbers
    data, figures = numbers["data"], numbers["figures"]
    lines = [f"{data['images']} images, {data['boxes']} boxes, {data['detections']} detections"]
    for name in ("AP", "AP50", "AP75"):
        x = figures[name]
        if x["value"] is None:
            return "\n".join([*lines, "no boxes to find: there is no AP"])
        between = "" if x["low"] is None else f"  ({x['low']:.1f} to {x['high']:.1f})"
        lines.append(f"{name:5} {x['value']:5.1f}{between}")
    if mistakes := costliest_in_words(numbers["tide"]):
        lines.append(f"mistakes: {mistakes}")
    for choice in numbers["thresholds"]["choices"]:
        found = choice["overall"]
        if found["threshold"] is None:
            lines.append(f"{choice['wanted']:14} no threshold: {found['reason']}")
        else:
            lines.append(
                f"{choice['wanted']:14} threshold {found['threshold']:.3f}: precision "
                f"{found['precision']:.3f}, recall {found['recall']:.3f}, F1 {found['f1']:.3f}"
            )
    return "\n".join(lines)
