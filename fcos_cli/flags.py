"""The vocabulary of flags: the same word means the same thing in every command."""

import argparse
from typing import Any

from . import values

WRITTEN_FORMATS = ("coco", "voc", "yolo", "csv", "txt")
DATA_FORMATS = ("auto", *WRITTEN_FORMATS, "labelme", "openimages", "imagefolder")
PRECISIONS = ("fp32", "bf16", "fp16")

_DATA = "COCO json, VOC or xml folder, data.yaml, obj.data, csv or txt, with :split if it has some"

# What makes a flag the same everywhere. A command may add to the help, and set the default,
# whether it is required, and how many values it takes.
VOCABULARY: dict[str, dict] = {
    # model
    "--config": {
        "metavar": "NAME",
        "help": "name in the zoo (fcos zoo), .yaml file, or .py file, which is code that is run",
    },
    "--weights": {"metavar": "FILE", "help": "checkpoint; default: the one that the config names"},
    "--trust-checkpoint": {
        "metavar": "FILE",
        "help": "open this one file of weights (path, URL or SHA-256) though it is a pickle, which "
        "can run code: detectron2's .pkl, old .pth",
    },
    "--trust-config": {
        "action": "store_true",
        "help": "let the config.yaml of a python config call whatever it names",
    },
    "--opts": {
        "nargs": argparse.REMAINDER,
        "default": [],
        "metavar": "KEY VALUE",
        "help": "last: overrides of the config, KEY VALUE (yaml) or key=value (python)",
    },
    # data
    "--data": {"metavar": "PATH", "help": f"annotations: {_DATA}"},
    "--images": {"metavar": "PATH", "help": "folder of the images, where not beside the data"},
    "--train-data": {"metavar": "PATH", "help": "annotations to train on, as --val-data"},
    "--train-images": {"metavar": "DIR", "help": "their images, where not beside them"},
    "--val-data": {"metavar": "PATH", "help": f"annotations to evaluate on: {_DATA}"},
    "--val-images": {"metavar": "DIR", "help": "their images, where not beside them"},
    "--data-format": {
        "choices": DATA_FORMATS,
        "default": "auto",
        "help": "of the annotations; default: found from their content",
    },
    "--classes": {"metavar": "FILE", "help": "class names, for csv and txt"},
    # an exported model
    "--export": {"metavar": "DIR", "help": "an export of these weights: a folder with infer.yaml"},
    # planning
    "--epochs": {
        "type": values.above_zero,
        "metavar": "N",
        "help": "times that each image is trained on",
    },
    "--start": {
        "metavar": "WEIGHTS",
        "help": "what training starts from: auto (the default of a plan), coco, imagenet, scratch "
        "or a file; with --config: coco, scratch or a file instead of its own",
    },
    "--accept-noncommercial": {
        "action": "store_true",
        "help": "start from weights whose licence allows no commercial use (AdelaiDet's), too",
    },
    "--flip": {
        "action": argparse.BooleanOptionalAction,
        "default": None,  # names and pictures of the classes say
        "help": "train on mirror images, too; default: where classes have no side",
    },
    # detecting
    "--threshold": {"type": float, "metavar": "SCORE", "help": "lowest score of a detection"},
    "--slice": {
        "type": int,
        "metavar": "PX",
        "help": "look at large images in tiles of this side, too",
    },
    "--slice-overlap": {
        "type": float,
        "metavar": "SHARE",
        "help": "of a tile with the next; default: 0.2",
    },
    "--tta": {
        "action": "store_true",
        "default": None,  # leaves it to the config
        "help": "merge several sizes and the mirror image",
    },
    "--agnostic-nms": {
        "action": "store_true",
        "help": "one class for each object: the surest of overlapping boxes of any class",
    },
    "--winograd": {"action": "store_true", "help": "faster on CPUs, outputs within 1e-4"},
    # machine
    "--device": {"help": "cpu, cuda, ...; default: the GPU if there is one"},
    "--precision": {
        "choices": PRECISIONS,
        "default": "fp32",
        "help": "of the convolutions; default: fp32",
    },
    "--batch": {"type": int, "metavar": "N", "help": "images at a time"},
    "--size": {"metavar": "HxW", "help": "height and width of the network's input, px: 512x736"},
    "--budget": {
        "type": values.duration,
        "metavar": "TIME",
        "help": "from the command to its last line: 20m, 90s, 1.5h",
    },
    "--threads": {"type": int, "metavar": "N", "help": "of the processor; default: all cores"},
    "--workers": {"type": int, "metavar": "N", "help": "processes; default: one per core"},
    # output
    "--output": {"metavar": "PATH", "help": "file or folder to write"},
    "--format": {"help": "of what is written"},
    "--verbose": {
        "action": "store_true",
        "help": "print all that the log gets",
    },
}


def add(
    parser: argparse._ActionsContainer,
    *names: str,
    note: str = "",
    instead: tuple[str, ...] = (),
    **changes: Any,
) -> None:
    """Gives a command flags of the vocabulary.

    Args:
        parser: of the command, or a group of it.
        names: of the flags.
        note: added to their help.
        instead: other words for the (one) flag, of a door that was there before the command.
        changes: of `default`, `required`, `nargs`, `choices`, `action` or `type`.
    """
    for name in names:
        settings: dict[str, Any] = VOCABULARY[name] | changes
        if note:
            settings["help"] = f"{settings['help']}; {note}"
        dest = name.removeprefix("--").replace("-", "_")
        parser.add_argument(*(instead or (name,)), dest=dest, **settings)


def add_model(parser: argparse.ArgumentParser, **changes: Any) -> None:
    """The flags of every command that takes one model."""
    add(parser, "--config", note="default: config.yaml beside the weights", **changes)
    add(parser, "--weights", "--trust-checkpoint", "--trust-config")


def add_overrides(parser: argparse.ArgumentParser, folder: bool = False) -> None:
    """Overrides of the config as the last words, with and without --opts before them.

    Args:
        parser: of the command.
        folder: whether a folder of data may stand before them; see `take_folder`.
    """
    metavar, text = "KEY VALUE", "overrides of the config, as --opts"
    if folder:
        metavar, text = f"FOLDER] [{metavar}", f"folder of a dataset; {text}"
    parser.add_argument("words", nargs="*", metavar=metavar, help=text)
    add(parser, "--opts")


def add_plan(parser: argparse.ArgumentParser) -> None:
    """What a plan is told, beside the data."""
    group = parser.add_argument_group("plan")
    add(group, "--epochs", "--start", "--accept-noncommercial", "--flip")


def add_processes(parser: argparse.ArgumentParser) -> None:
    """On how many GPUs and machines."""
    group = parser.add_argument_group("GPUs and machines")
    group.add_argument("--num-gpus", type=int, default=1, help="of this machine; 0: the CPU")
    group.add_argument("--num-machines", type=int, default=1, help="that train together")
    group.add_argument("--machine-rank", type=int, default=0, help="number of this one, from 0")
    group.add_argument("--dist-url", default="auto", help="where they meet: tcp://HOST:PORT")
