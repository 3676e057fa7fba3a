"""`fcos export`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .. import flags
from ..exit_codes import WrongUse
from ..model_choice import config_of, model_options
from ..values import size

if TYPE_CHECKING:
    from fcos_d2.export import ExportOptions
    from fcos_d2.export.detector import ExportableDetector
    from fcos_d2.predictor import Predictor

SUMMARY = "turn a detector into one file that runs without detectron2 and torch"

EXAMPLES = """\
fcos export --weights output/mine/model_best.pth --images photos/ --output exported/
fcos export --config FCOS-RT/R50 --weights FCOS_RT_MS_R_50_4x.pth --images photos/ \
  --format openvino --size 512x736 --output exported/
fcos export ... --int8 --val-data val.json --val-images val/ --output exported/

Writes the model, and infer.yaml with its settings. Then both models are run on the images, and
unless they find the same the exit code is 1. python -m fcos_deploy --model exported/ runs it."""

FORMATS = ("onnx", "openvino", "torchscript", "torch-export")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    flags.add_model(parser)
    flags.add(parser, "--output", required=True, type=Path, note="a folder")
    flags.add(
        parser,
        "--images",
        nargs="+",
        required=True,
        note="or files and patterns: both models are compared on them",
    )
    flags.add(parser, "--format", choices=FORMATS, default="onnx", note="default: onnx")
    flags.add(parser, "--size", type=size, note="default: any")
    flags.add(parser, "--batch", note="default: any number")
    parser.add_argument("--fp16", action="store_true", help="store weights in half precision")
    flags.add(parser, "--winograd")
    parser.add_argument(
        "--raw-heads", action="store_true", help="all boxes and scores, without suppression"
    )
    parser.add_argument(
        "--int8", action="store_true", help="onnx: convolutions in 8 bits, calibrated on --images"
    )
    parser.add_argument(
        "--calibration-images", type=int, default=100, metavar="N", help="at most; default: 100"
    )
    flags.add(parser, "--val-data", note="COCO only: the AP of the exported model is measured")
    flags.add(parser, "--val-images")
    parser.add_argument(
        "--verify-images", type=int, default=20, metavar="N", help="compared at most; default: 20"
    )
    flags.add(parser, "--opts")


def run(arguments: argparse.Namespace) -> None:
    """Exports, verifies and measures; raises ValueError if the exported model differs."""
    check(arguments)
    from fcos_d2.export import ExportOptions, export
    from fcos_d2.export.quantize import quantize_int8
    from fcos_deploy.vision import list_images

    options = ExportOptions(
        format=arguments.format,
        size=arguments.size,
        batch=arguments.batch,
        half_weights=arguments.fp16,
        raw_heads=arguments.raw_heads,
        winograd=arguments.winograd,
    )
    arguments.config = config_of(arguments)
    paths, output = list_images(arguments.images), arguments.output
    predictor = load_predictor(arguments)
    detector = export(predictor.model, predictor.mapper, predictor.class_names, output, options)
    report_file(output / options.model_file)
    predictor.set_threshold(0.0)  # which infer.yaml has by now; the rest is compared, too
    verify(predictor, detector, paths, arguments, options)
    report_ap(arguments)
    if arguments.int8:
        quantize_int8(output, arguments.images, arguments.calibration_images)
        report_file(output / options.model_file, " in 8 bits")
        report_ap(arguments, " in 8 bits")


def load_predictor(arguments: argparse.Namespace) -> "Predictor":
    """The detector to export."""
    from fcos_d2.predictor import Predictor

    return Predictor(**model_options(arguments), device="cpu")


def report_file(path: Path, note: str = "") -> None:
    """Prints the size of the model, with the files beside it that belong to it."""
    from fcos_deploy.text import say

    megabytes = sum(file.stat().st_size for file in path.parent.glob("model.*")) / 1e6
    say(f"{path}: {megabytes:.1f} MB{note}")


def report_ap(arguments: argparse.Namespace, note: str = "") -> None:
    """Measures and prints the AP of the exported model where a dataset is given."""
    if arguments.val_data:
        from fcos_d2.export.average_precision import coco_ap

        ap = coco_ap(arguments.output, arguments.val_data, arguments.val_images)
        print(f"AP {ap:.2f}{note}")


def check(arguments: argparse.Namespace) -> None:
    """Raises WrongUse for options that do not fit each other."""
    if arguments.int8 and (
        arguments.format != "onnx" or arguments.fp16 or arguments.raw_heads or arguments.winograd
    ):
        raise WrongUse("--int8 needs --format onnx, without --fp16, --raw-heads and --winograd")
    if bool(arguments.val_data) != bool(arguments.val_images):
        raise WrongUse("--val-data and --val-images go together")
    if arguments.val_data and (arguments.raw_heads or arguments.format.startswith("torch")):
        raise WrongUse("--val-data needs a model that fcos_deploy runs: onnx or openvino")
    if arguments.verify_images < 1 or arguments.calibration_images < 1:
        raise WrongUse("--verify-images and --calibration-images must be at least 1")


def verify(
    predictor: "Predictor",
    detector: "ExportableDetector",
    paths: list[Path],
    arguments: argparse.Namespace,
    options: "ExportOptions",
) -> None:
    """Prints the worst difference between the two models; raises ValueError if it is too large."""
    from fcos_d2.export import verify as verification
    from fcos_deploy.vision import read_image

    paths = paths[:: -(-len(paths) // arguments.verify_images)]
    image_format = predictor.mapper.image_format
    images = [predictor.mapper.to_input(read_image(x, image_format))[0] for x in paths]
    groups = verification.batches_of(images, options.batch, options.size)
    exported = verification.load_exported(arguments.output, options.format, options.model_file)
    tolerance = verification.HALF_WEIGHTS if options.half_weights else verification.FULL_PRECISION
    if options.raw_heads:
        worst = verification.compare_raw(detector, exported, groups, options.size)
    else:
        worst = verification.compare(predictor.model, exported, groups, options.size, tolerance)
    what = "locations" if options.raw_heads else "detections above 0.05"
    print(
        f"{len(paths)} images in {len(groups)} batches, {worst.detections} {what}: worst "
        f"difference {worst.boxes:.2g} px and {worst.scores:.2g} of a score, {worst.unmatched} "
        f"without a partner, {worst.undecided} undecided between both because two boxes overlap "
        f"by just the suppression threshold (allowed: {tolerance.boxes} px, {tolerance.scores}, "
        f"{tolerance.unmatched:.0%})"
    )
    if worst.detections == 0:
        raise ValueError(
            "nothing is found on these images: --images needs such as it was trained on"
        )
    if not worst.within(tolerance):
        raise ValueError("the exported model differs from the detector")
