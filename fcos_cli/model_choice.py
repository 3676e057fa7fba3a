"""Which model a command line means."""

import argparse
import os
from pathlib import Path

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


def overrides_of(arguments: argparse.Namespace) -> list[str]:
    """The overrides of the config, with and without --opts."""
    return [*getattr(arguments, "words", []), *arguments.opts]


def take_folder(arguments: argparse.Namespace) -> None:
    """Takes FOLDER out of the words of a command line, where it comes before KEY VALUE ...

    Raises:
        WrongUse: the first word is neither a folder nor a key with a value.
    """
    words = arguments.words
    arguments.folder = None
    if not words or "=" in words[0]:
        return
    if not (os.path.exists(words[0]) or len(words) % 2):
        return
    if not os.path.exists(words[0]):
        raise WrongUse(f"{words[0]}: no such folder, nor is it a KEY with a VALUE")
    arguments.folder, arguments.words = words[0], words[1:]
