"""Shows what the detector really sees in training: augmented images, their boxes, and which
locations of which level learn each box.

    python tools/browse_dataset.py --config-file Quickstart/Shapes-R18 --output shapes.png
    python tools/browse_dataset.py --config-file FCOS-RT/R50 --train-json train.json \\
        --train-images train/ --output page.html --num-images 40

Data and overrides are given as to train_net.py.

A dot is a location that learns the box around it; its colour tells the level. A crossed box is
learned nowhere. Task-aligned assignment, which follows from predictions, shows the boxes alone.
"""

import base64
import html
import sys
import tempfile
import warnings
from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path

import fcos_d2  # noqa: F401, first, because it silences a warning of detectron2

# isort: split
import cv2
import numpy as np
import torch

from fcos_d2.engine import Run, prepare, train_argument_parser
from fcos_d2.modeling import FCOSProposalGenerator
from fcos_d2.visualization import write_image
from fcos_d2.visualization.assignment import assignment_sheet, draw_assignment, legend
from fcos_deploy.door import enter
from fcos_deploy.text import say, shown
from fcos_deploy.writing import write_text

LONG_SIDE = 640  # px; smaller images are enlarged


def add_arguments(parser: ArgumentParser) -> None:
    """The options of this tool beside those of train_net.py."""
    group = parser.add_argument_group("browsing")
    group.add_argument(
        "--output", type=Path, required=True, help=".png or .jpg grid, or .html page"
    )
    group.add_argument("--num-images", type=int, default=12)
    group.add_argument("--columns", type=int, default=4, help="of the grid")


def build(prepared: Run) -> tuple[object, FCOSProposalGenerator, list[str], str]:
    """Training loader, the part of the model that assigns, class names and channel order."""
    with torch.device("meta"):  # without memory behind the tensors
        generator = prepared.on("meta").build_model().proposal_generator
    loader = prepared.build_train_loader()
    names = prepared.class_names or [f"class {i}" for i in range(generator.num_classes)]
    return loader, generator, names, prepared.image_format


def pictures(
    loader: object,
    generator: FCOSProposalGenerator,
    names: list[str],
    image_format: str,
    num_images: int,
) -> tuple[list[np.ndarray], list[str]]:
    """The first images of the loader, drawn, with their titles."""
    drawn, titles = [], []
    for batch in loader:
        sizes = [inputs["image"].shape[1:] for inputs in batch]
        # As the detector pads: to the largest image of the batch, in steps of 32 px.
        padded = tuple(-(-max(side) // 32) * 32 for side in zip(*sizes, strict=True))
        for inputs in batch:
            image = inputs["image"].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
            image = image[:, :, ::-1] if image_format == "RGB" else image
            instances = inputs["instances"]
            boxes, classes = instances.gt_boxes.tensor, instances.gt_classes
            zoom = max(1, round(LONG_SIDE / max(image.shape)))
            picture, counts = draw_assignment(
                np.ascontiguousarray(image), boxes, classes, names, generator, padded, zoom
            )
            # No counts where the assigner needs predictions.
            positives = " ".join(
                f"{name} {n}" for name, n in zip(generator.in_features, counts, strict=False)
            )
            drawn.append(picture)
            titles.append(f"{Path(inputs['file_name']).name}  {positives}")
            if len(drawn) == num_images:
                return drawn, titles
    return drawn, titles


def write_page(
    path: Path, drawn: list[np.ndarray], titles: list[str], generator: FCOSProposalGenerator
) -> None:
    """One file that holds all pictures, full size."""
    strip = legend(generator, 520)
    parts = [f'<p><img src="{_data_url(strip)}" alt="levels"></p>']
    for picture, title in zip(drawn, titles, strict=True):
        parts.append(
            f"<figure><img src='{_data_url(picture)}' alt=''>"
            f"<figcaption>{html.escape(shown(title))}</figcaption></figure>"
        )
    style = "body{font-family:sans-serif;margin:2em}figure{display:inline-block;margin:.5em}"
    explanation = html.escape(__doc__.split("\n\n")[-1].replace("\n", " "))
    write_text(
        path,
        f"<!doctype html><meta charset='utf-8'><title>Training images</title><style>{style}"
        f"img{{max-width:100%}}</style><h1>Training images</h1><p>{explanation}</p>"
        + "\n".join(parts),
    )


def _data_url(image: np.ndarray) -> str:
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded).decode('ascii')}"


def run(args: Namespace) -> None:
    """Raises ValueError or OSError with what is wrong."""
    if not args.config_file:
        raise ValueError("--config-file is missing; see --help")
    if args.num_images < 1 or args.columns < 1:
        raise ValueError("--num-images and --columns must be at least 1")
    if args.output.suffix not in (".png", ".jpg", ".html"):
        raise ValueError(f"--output must end in .png, .jpg or .html, got {args.output}")
    with tempfile.TemporaryDirectory() as folder:
        yaml = not str(args.config_file).endswith(".py") and "lazy/" not in args.config_file
        key = ["OUTPUT_DIR", folder] if yaml else [f"train.output_dir={folder}"]
        args.opts, args.num_gpus = [*args.opts, *key], 0
        loader, generator, names, image_format = build(prepare(args))
        drawn, titles = pictures(loader, generator, names, image_format, args.num_images)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    if args.output.suffix == ".html":
        write_page(args.output, drawn, titles, generator)
    else:
        write_image(args.output, assignment_sheet(drawn, titles, generator, args.columns))
    say(f"{len(drawn)} images in {args.output}")


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    parser = train_argument_parser()
    parser.description = __doc__
    add_arguments(parser)
    warnings.filterwarnings("ignore")
    return enter(partial(run, parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
