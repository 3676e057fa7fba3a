"""Finds what is wrong with a dataset before it costs a training run.

    python tools/check_dataset.py train.json --images train/ --val val.json
    python tools/check_dataset.py VOC2007:trainval --config-file FCOS/R50-1x --html voc.html
    python tools/check_dataset.py data.yaml --fix repaired.json

Reads annotations of any usual format, decodes every image, and holds the sizes of the boxes against
the levels of a detector at its training resolution. Exit code 0: nothing wrong, or notes; 1:
warnings, which training repairs by itself; 2: errors, which stop training.
"""

import argparse
import sys
import warnings
from functools import partial
from pathlib import Path

import fcos_d2  # noqa: F401, first, because it silences a warning of detectron2

# isort: split
import torch
from detectron2.config import CfgNode

from fcos_d2 import model_zoo
from fcos_d2.building import build_detector
from fcos_d2.data.input_size import InputSize, sizes_after
from fcos_d2.data.pipeline import build_augmentations
from fcos_d2.datasets.check import check_dataset
from fcos_d2.datasets.formats import FORMATS, read_dataset, write_dataset
from fcos_d2.datasets.training_set import learned_fields
from fcos_d2.engine import run_of
from fcos_deploy.door import enter
from fcos_deploy.text import say
from fcos_deploy.writing import write_text


def load_config(name: str) -> CfgNode:
    """A yaml config, for a model without memory behind its tensors."""
    cfg = model_zoo.get_config(name, ["MODEL.DEVICE", "meta"])
    if not isinstance(cfg, CfgNode):
        raise ValueError(f"{name}: give the yaml config of the same name")
    return cfg


def load_detector(cfg: CfgNode) -> tuple[object, partial]:
    """What a config assigns with, and the sizes that its training gives images."""
    with torch.device("meta"):  # without memory behind the tensors
        generator = build_detector(cfg).proposal_generator
    resize = InputSize(build_augmentations(cfg, is_train=True)).resize
    return generator, partial(sizes_after, resize)


def run(args: argparse.Namespace) -> int:
    """Returns the exit code; raises ValueError or OSError for what is no dataset."""
    given = {"classes": args.classes, "format": args.format}
    # Without a look at the files, sizes must be in the annotations; only COCO has them.
    read = read_dataset(args.data, images=args.images, decode=args.decode, **given)
    val = (
        read_dataset(args.val, images=args.val_images, decode=args.decode, **given)
        if args.val
        else None
    )
    cfg = load_config(args.config_file)
    if (masks := run_of(cfg).masks) == "required":
        learned_fields(read.coco, masks, read.problems)  # for what it says
    report = check_dataset(
        args.data,
        read.coco,
        read.images,
        read.problems,
        *load_detector(cfg),
        val=val.coco if val else None,
        val_images=val.images if val else None,
        decode=args.decode,
        workers=args.workers,
    )
    say(report.text())
    if args.html:
        write_text(args.html, report.html())
        say(f"wrote {args.html}")
    if args.fix:
        write_dataset(report.coco, read.images, args.fix, "coco")
        changed = [problem for problem in report.problems if problem.repair]
        say(f"wrote {args.fix}, which differs in:" if changed else f"wrote {args.fix}, the same")
        say("\n".join(f"  {problem}" for problem in changed))
    return report.exit_code


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data", help="json, VOC or xml folder, data.yaml, obj.data, csv or txt; maybe :split"
    )
    parser.add_argument("--images", help="folder of the images, where not beside the data")
    parser.add_argument("--val", metavar="DATA", help="validation data, to find shared images")
    parser.add_argument("--val-images", metavar="DIR", help="folder of its images")
    parser.add_argument("--classes", help="class names, for csv and txt")
    parser.add_argument("--format", choices=("auto", *FORMATS), default="auto")
    parser.add_argument(
        "--config-file", default="FCOS-RT/R50", help="detector to train; default: %(default)s"
    )
    parser.add_argument(
        "--no-images", dest="decode", action="store_false", help="look at no image file (COCO)"
    )
    parser.add_argument("--workers", type=int, help="processes; default: one per core")
    parser.add_argument("--html", type=Path, help="write a report with pictures")
    parser.add_argument("--fix", type=Path, metavar="OUT.json", help="write it repaired, as COCO")
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    return enter(partial(run, args), code=2)


if __name__ == "__main__":
    sys.exit(main())
