"""`fcos browse`."""

import argparse
from pathlib import Path

from .. import flags
from ..exit_codes import WrongUse

SUMMARY = "see what training sees: augmented images, boxes, locations that learn them"

EXAMPLES = """\
fcos browse --config Quickstart/Shapes-R18 --output shapes.png
fcos browse --config FCOS-RT/R50 --train-data train.json --train-images train/ \
  --output page.html --num-images 40

A dot is a location that learns the box around it; its colour tells the level. A crossed box is
learned nowhere. Task-aligned assignment, which follows from predictions, shows the boxes alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    flags.add(parser, "--config")
    flags.add(parser, "--output", required=True, type=Path, note=".png or .jpg grid, or .html page")
    flags.add(parser, "--train-data", "--train-images", "--data-format", "--classes")
    flags.add(parser, "--trust-config")
    parser.add_argument("--num-images", type=int, default=12, metavar="N", help="default: 12")
    parser.add_argument(
        "--columns", type=int, default=4, metavar="N", help="of the grid; default: 4"
    )
    flags.add_overrides(parser)


def run(arguments: argparse.Namespace) -> None:
    """Raises ValueError or OSError with what is wrong."""
    import tempfile

    from fcos_d2.engine.setup import setup
    from fcos_d2.visualization import training_images
    from fcos_deploy.text import say

    from ..training import request_of

    check(arguments)
    output = arguments.output
    with tempfile.TemporaryDirectory() as folder:
        request = request_of(arguments, output_dir=folder, num_gpus=0)
        loader, generator, names, image_format = training_images.build(setup(request))
        drawn, titles = training_images.pictures(
            loader, generator, names, image_format, arguments.num_images
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.suffix == ".html":
        training_images.write_page(output, drawn, titles, generator)
    else:
        training_images.write_sheet(output, drawn, titles, generator, arguments.columns)
    say(f"{len(drawn)} images in {output}")


def check(arguments: argparse.Namespace) -> None:
    """Raises WrongUse."""
    if not arguments.config:
        raise WrongUse("--config is missing: a name that `fcos zoo` lists, or a file")
    if arguments.num_images < 1 or arguments.columns < 1:
        raise WrongUse("--num-images and --columns must be at least 1")
    if arguments.output.suffix not in (".png", ".jpg", ".html"):
        raise WrongUse(f"--output must end in .png, .jpg or .html, got {arguments.output}")
