"""`fcos quickstart`."""

import argparse
from pathlib import Path

from .. import flags

SUMMARY = "train a small detector on drawn shapes, in minutes on a CPU, and see it work"

EXAMPLES = """\
fcos quickstart
fcos quickstart --budget 2m --output output/short

Draws the pictures into datasets/shapes, or $DETECTRON2_DATASETS/shapes, and does with them what
`fcos train FOLDER --budget TIME` does with yours."""

BUDGET = 7 * 60.0  # s; the installation takes four minutes more
NUM_PICTURES = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    flags.add(
        parser, "--output", default="output/quickstart", note="a folder; default: output/quickstart"
    )
    flags.add(parser, "--budget", default=BUDGET, note="default: 7m")
    flags.add(parser, "--device", "--verbose")
    flags.add_overrides(parser)


def run(arguments: argparse.Namespace) -> None:
    """Trains and writes pictures of what was learned."""
    from fcos_d2.datasets.shapes import make_shapes
    from fcos_d2.engine import run as train
    from fcos_d2.predictor import Predictor
    from fcos_d2.visualization import write_image
    from fcos_d2.visualization.beside_truth import predictions_beside_truth
    from fcos_deploy.text import say

    from ..training import request_of, write_planned

    output, arguments.config = Path(arguments.output), None
    # A finished run of before would add its curve to this one's.
    (output / "metrics.json").unlink(missing_ok=True)
    request = request_of(arguments, output_dir=str(output), folder=str(make_shapes()))
    write_planned(request, str(output))
    request.budget = None  # the config has it, or what the overrides say
    results = train(request)

    weights = str(output / "model_final.pth")
    predictor = Predictor(request.config_file, weights, confidence_threshold=0.5)
    picture = predictions_beside_truth(predictor, "shapes_val", NUM_PICTURES)
    write_image(output / "predictions.png", picture)
    say(next_steps(output, results["bbox"]))


def next_steps(output: Path, metrics: dict) -> str:
    """What there is now, and what to do with it."""
    return f"""
Shapes validation set: AP {metrics["AP"]:.1f}, AP50 {metrics["AP50"]:.1f}

  {output}/predictions.png   ground truth and predictions side by side
  {output}/training.png      losses and AP over time
  {output}/model_final.pth   the detector; config.yaml beside it is its configuration

Next:
  detect in your images   fcos predict IMAGE --weights {output}/model_final.pth --output drawn/
  train on your data      fcos train FOLDER --budget 20m
"""
