#!/usr/bin/env python3
"""Turn a trained detector into one file that runs without detectron2, and without torch.

tools/export_model.py --config-file output/config.yaml --weights output/model_best.pth \\
    --images photos/ --output exported/
tools/export_model.py --config-file FCOS-RT/R50 --weights FCOS_RT_MS_R_50_4x.pth \\
    --format openvino --size 512 736 --output exported/
tools/export_model.py ... --int8 --val-data val.json --val-images val/ --output exported/

Writes the model, and infer.yaml with its settings. Then both models are run on images, and unless
they find the same the exit code is 1. Run it with fcos_deploy: docs/deploy.md.
"""

import argparse
import sys
import warnings
from functools import partial
from pathlib import Path

import fcos_d2  # noqa: F401, first, because it silences a warning of detectron2

# isort: split
from fcos_d2.export import FORMATS, ExportOptions, export
from fcos_d2.export.average_precision import coco_ap
from fcos_d2.export.detector import ExportableDetector
from fcos_d2.export.quantize import quantize_int8
from fcos_d2.export.verify import (
    FULL_PRECISION,
    HALF_WEIGHTS,
    batches_of,
    compare,
    compare_raw,
    load_exported,
)
from fcos_d2.predictor import Predictor
from fcos_deploy.door import enter
from fcos_deploy.text import say
from fcos_deploy.vision import list_images, read_image


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Reads the command line; argparse ends the program with code 2 on wrong use."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument(
        "--config-file",
        required=True,
        help="name in the model zoo, .yaml, or .py, which is code that is run",
    )
    parser.add_argument("--weights", help="checkpoint; default: the one that the config names")
    parser.add_argument("--output", type=Path, required=True, help="folder that is made")
    parser.add_argument(
        "--images",
        nargs="+",
        required=True,
        help="files, folders or patterns: both models are compared on them",
    )
    parser.add_argument("--format", choices=FORMATS, default="onnx", help="default: onnx")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("H", "W"), help="of the input, px; default: any"
    )
    parser.add_argument("--batch", type=int, help="images at a time; default: any number")
    parser.add_argument("--fp16", action="store_true", help="store weights in half precision")
    parser.add_argument("--winograd", action="store_true", help="faster on CPUs; a larger file")
    parser.add_argument(
        "--raw-heads", action="store_true", help="all boxes and scores, without suppression"
    )
    parser.add_argument(
        "--int8", action="store_true", help="onnx: convolutions in 8 bits, calibrated on --images"
    )
    parser.add_argument(
        "--calibration-images", type=int, default=100, help="at most; default: %(default)s"
    )
    parser.add_argument("--val-data", help="COCO file: measure the AP of the exported model on it")
    parser.add_argument("--val-images", help="its folder of images")
    parser.add_argument(
        "--verify-images", type=int, default=20, help="compared at most; default: %(default)s"
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
    """Returns 0, 1 if the exported model differs, 2 for wrong use."""
    args = parse_args(argv)
    warnings.filterwarnings("ignore")  # of torch's exporters, about themselves
    return enter(partial(run, args), code=2)


def run(args: argparse.Namespace) -> int:
    """Exports, verifies and measures; returns the exit code."""
    options = ExportOptions(
        format=args.format,
        size=tuple(args.size) if args.size else None,
        batch=args.batch,
        half_weights=args.fp16,
        raw_heads=args.raw_heads,
        winograd=args.winograd,
    )
    check(args)
    paths = list_images(args.images)
    predictor = Predictor(
        args.config_file,
        args.weights,
        device="cpu",
        opts=args.opts,
        trust_checkpoint=args.trust_checkpoint,
        trust_config=args.trust_config,
    )
    names = predictor.class_names
    detector = export(predictor.model, predictor.mapper, names, args.output, options)
    megabytes = sum(file.stat().st_size for file in args.output.glob("model.*")) / 1e6
    say(f"{args.output / options.model_file}: {megabytes:.1f} MB")
    same = verify(predictor, detector, paths, args, options)
    if not same:
        return 1
    if args.val_data:
        print(f"AP {coco_ap(args.output, args.val_data, args.val_images):.2f}")
    if args.int8:
        quantize_int8(args.output, args.images, args.calibration_images)
        megabytes = (args.output / options.model_file).stat().st_size / 1e6
        say(f"{args.output / options.model_file}: {megabytes:.1f} MB in 8 bits")
        if args.val_data:
            print(f"AP {coco_ap(args.output, args.val_data, args.val_images):.2f} in 8 bits")
    return 0


def check(args: argparse.Namespace) -> None:
    """Raises ValueError for options that do not fit each other."""
    if args.int8 and (args.format != "onnx" or args.fp16 or args.raw_heads or args.winograd):
        raise ValueError("--int8 needs --format onnx, without --fp16, --raw-heads and --winograd")
    if bool(args.val_data) != bool(args.val_images):
        raise ValueError("--val-data and --val-images go together")
    if args.val_data and (args.raw_heads or args.format.startswith("torch")):
        raise ValueError("--val-data needs a model that fcos_deploy runs: onnx or openvino")
    if args.verify_images < 1 or args.calibration_images < 1:
        raise ValueError("--verify-images and --calibration-images must be at least 1")


def verify(
    predictor: Predictor,
    detector: ExportableDetector,
    paths: list[Path],
    args: argparse.Namespace,
    options: ExportOptions,
) -> bool:
    """Prints the worst difference between the two models; whether it is small enough."""
    paths = paths[:: -(-len(paths) // args.verify_images)]
    image_format = predictor.mapper.image_format
    images = [predictor.mapper.to_input(read_image(x, image_format))[0] for x in paths]
    groups = batches_of(images, options.batch, options.size)
    exported = load_exported(args.output, options.format, options.model_file)
    tolerance = HALF_WEIGHTS if options.half_weights else FULL_PRECISION
    if options.raw_heads:
        worst = compare_raw(detector, exported, groups, options.size)
    else:
        worst = compare(predictor.model, exported, groups, options.size, tolerance)
    what = "locations" if options.raw_heads else "detections above 0.05"
    print(
        f"{len(paths)} images in {len(groups)} batches, {worst.detections} {what}: worst "
        f"difference {worst.boxes:.2g} px and {worst.scores:.2g} of a score, {worst.unmatched} "
        f"without a partner, {worst.undecided} undecided between both because two boxes overlap "
        f"by just the suppression threshold (allowed: {tolerance.boxes} px, {tolerance.scores}, "
        f"{tolerance.unmatched:.0%})"
    )
    if worst.detections == 0:
        print("error: nothing is found on these images: --images needs such as it was trained on")
        return False
    if not worst.within(tolerance):
        print("error: the exported model differs from the detector", file=sys.stderr)
    return worst.within(tolerance)


if __name__ == "__main__":
    sys.exit(main())
