"""`fcos convert-checkpoint`."""

import argparse
from pathlib import Path

from .. import flags

SUMMARY = "turn the weights of another FCOS into ours, with the config that runs them"

EXAMPLES = """\
fcos convert-checkpoint fcos_resnet50_fpn_coco-99b0c9b7.pth --output fcos.pth
fcos convert-checkpoint FCOS_RT_MS_R_50_4x.pth --output rt.pth --config FCOS-RT/R50

Writes fcos.pth and fcos.yaml. Knows AdelaiDet, tianzhi0549/FCOS, torchvision and detectron2. Such
files load without conversion, too, given the right config; this finds it. For datasets see
fcos convert."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("checkpoint", metavar="FILE", help="checkpoint of the other project")
    flags.add(parser, "--output", required=True, type=Path, note=".pth")
    flags.add(parser, "--config", note="default: the first of the zoo that fits")
    flags.add(parser, "--trust-checkpoint")


def run(arguments: argparse.Namespace) -> None:
    """Converts; raises ValueError or OSError with what is wrong."""
    from fcos_d2.model_zoo.conversion import convert_checkpoint
    from fcos_deploy.text import say

    output = arguments.output
    done = convert_checkpoint(
        arguments.checkpoint, output, arguments.config, arguments.trust_checkpoint
    )
    say(done.report)
    if not done.report.complete:
        raise ValueError(f"{done.config} does not fit {arguments.checkpoint}")
    also = f" (also fit: {', '.join(done.also_fit)})" if done.also_fit else ""
    print(f"config: {done.config}{also}")
    if done.hint:
        print(f"note: {done.hint}")
    say(f"wrote {output} and {output.with_suffix('.yaml')}")
