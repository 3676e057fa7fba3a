"""Which model a command line means."""

import argparse
import os
import re
from pathlib import Path
from typing import Any

from .exit_codes import WrongUse

ZOO = "zoo://"  # as in fcos_d2.checkpoint.known_files, which is heavy


def config_of(arguments: argparse.Namespace) -> str:
    """The config of a command line: --config, or what --weights say.

    Those of the zoo (zoo://NAME) are for the config of the same name; a training leaves its
    config.yaml beside them.

    Raises:
        WrongUse: neither is there.
    """
    if arguments.config:
        return arguments.config
    if not arguments.weights:
        raise WrongUse("--config or --weights is missing: which model?")
    if arguments.weights.startswith(ZOO):
        return arguments.weights.removeprefix(ZOO)
    beside = Path(arguments.weights).parent / "config.yaml"
    if not beside.is_file():
        raise WrongUse(f"--config is missing, and there is no {beside} beside the weights")
    return str(beside)


def model_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a `Predictor` takes of the flags that every command with a model has."""
    names = ("config", "weights", "opts", "trust_checkpoint", "trust_config")
    return {name: getattr(arguments, name) for name in names}


def view_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What it takes of the flags that say how images are looked at, and what counts as found."""
    return {
        "confidence_threshold": arguments.threshold,
        "slice_size": arguments.slice,
        "slice_overlap": arguments.slice_overlap,
        "tta": arguments.tta,
        "agnostic_nms": arguments.agnostic_nms,
        "device": arguments.device,
    }


def overrides_of(arguments: argparse.Namespace) -> list[str]:
    """The overrides of the config, with and without --opts."""
    return [*getattr(arguments, "words", []), *arguments.opts]


def take_folder(arguments: argparse.Namespace) -> str | None:
    """The folder of data that stands before the overrides; it is taken out of the words.

    Raises:
        WrongUse: the first word is neither a folder nor an override.
    """
    words = arguments.words
    if not words or "=" in words[0]:
        return None
    is_key = re.fullmatch(r"[A-Z0-9_]+(\.[A-Z0-9_]+)*", words[0]) and len(words) % 2 == 0
    if is_key:
        return None
    if os.path.isdir(words[0]):
        return words.pop(0)
    if len(words) % 2 == 0:  # KEY VALUE, with a key that the config will judge
        return None
    if os.path.isfile(words[0]):
        from fcos_deploy.files import ARCHIVES  # brings numpy, which `fcos --help` does without

        if words[0].lower().endswith(ARCHIVES):
            raise WrongUse(f"{words[0]} is an archive: unpack it, and give the folder")
        raise WrongUse(f"{words[0]} is a file: give its folder, or --train-data {words[0]}")
    raise WrongUse(f"{words[0]}: no such folder of data, and no KEY VALUE of the config")
