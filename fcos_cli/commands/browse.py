"""`fcos browse`."""

import argparse
from pathlib import Path

from .. import flags
from ..exit_codes import WrongUse

SUMMARY = "see what training sees: augmented images, boxes, locations that learn them"

EXAMPLES = """\
fcos browse --config output/quickstart/config.yaml --output shapes.png
fcos browse --config FCOS-RT/R50 --train-data train.json --train-images train/ \
  --output page.html --num-images 40
fcos browse --augmentations --output augmentations.jpg

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
    parser.add_argument(
        "--augmentations",
        action="store_true",
        help="instead of a config's images, a drawn picture after each augmentation there is",
    )
    flags.add_overrides(parser)


def run(arguments: argparse.Namespace) -> None:
    """Raises ValueError or OSError with what is wrong."""
    check(arguments)
    if arguments.augmentations:
        show_augmentations(arguments.output)
    else:
        show_training_images(arguments)


def show_augmentations(output: Path) -> None:
    """Draws what each augmentation does."""
    from fcos_d2.visualization import write_image
    from fcos_d2.visualization.augmentations import TILES, augmentation_sheet
    from fcos_deploy.text import say

    output.parent.mkdir(parents=True, exist_ok=True)
    write_image(output, augmentation_sheet())
    say(f"{len(TILES)} tiles in {output}")


def show_training_images(arguments: argparse.Namespace) -> None:
    """Draws what training with a config sees."""
    import tempfile

    from fcos_d2.engine import prepare
    from fcos_d2.visualization import training_images
    from fcos_deploy.text import say

    from ..training import request_of

    output = arguments.output
    with tempfile.TemporaryDirectory() as folder:
        run = prepare(request_of(arguments, output_dir=folder, num_gpus=0))
        loader, generator, names, image_format = training_images.build(run)
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
    if not arguments.config and not arguments.augmentations:
        raise WrongUse("--config is missing: a name that `fcos zoo` lists, or a file")
    if arguments.num_images < 1 or arguments.columns < 1:
        raise WrongUse("--num-images and --columns must be at least 1")
    endings = (".png", ".jpg") if arguments.augmentations else (".png", ".jpg", ".html")
    if arguments.output.suffix not in endings:
        raise WrongUse(f"--output must end in {' or '.join(endings)}, got {arguments.output}")
