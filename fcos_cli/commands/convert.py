"""Turns a dataset of any usual format into COCO json, or into another of them.

    python tools/convert_dataset.py VOCdevkit/VOC2007:trainval --output voc07.json
    python tools/convert_dataset.py data.yaml:val --output val.json
    python tools/convert_dataset.py boxes.csv --classes classes.csv --output boxes.json
    python tools/convert_dataset.py boxes.json --images photos/ --to yolo --output yolo/

Images are not copied; YOLO and VOC folders get a link to them. What is wrong is left out or
repaired, and listed.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import fcos_d2  # noqa: F401, first, because it silences a warning of detectron2

# isort: split
from fcos_d2.datasets.formats import FORMATS, read_dataset, write_dataset
from fcos_d2.datasets.problems import summarise
from fcos_deploy.door import enter
from fcos_deploy.text import say, shown


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data", help="json, VOC or xml folder, data.yaml, obj.data, csv or txt; maybe :split"
    )
    parser.add_argument("--output", type=Path, required=True, help="file or folder to write")
    parser.add_argument("--images", help="folder of the images, where not beside the data")
    parser.add_argument("--classes", help="class names, for csv and txt")
    parser.add_argument("--format", choices=("auto", *FORMATS), default="auto", help="of the data")
    parser.add_argument("--to", choices=FORMATS, default="coco")
    return enter(partial(run, parser.parse_args(argv)))


def run(args: argparse.Namespace) -> None:
    """Converts; raises ValueError or OSError with what is wrong."""
    read = read_dataset(args.data, images=args.images, classes=args.classes, format=args.format)
    written = write_dataset(read.coco, read.images, args.output, args.to)
    for line in summarise(read.problems):
        say(line)
    counts = ", ".join(f"{len(read.coco[key])} {key}" for key in ("images", "annotations"))
    names = ", ".join(shown(category["name"]) for category in read.coco["categories"])
    say(f"{args.data} ({read.format}): {counts}; classes {names}")
    say(f"wrote {written}; its images are in {read.images}")


if __name__ == "__main__":
    sys.exit(main())
