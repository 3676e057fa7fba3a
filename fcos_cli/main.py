#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""The command `fcos`: finds the subcommand, runs it, and turns what went wrong into one line."""

import argparse
import importlib
import importlib.util
import os
import re
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import NoReturn

from .began import process_began
from .commands.install_detectron2 import find_installed
from .exit_codes import FAILED, WRONG_USE, WrongUse, as_text

# A new subcommand is a file in commands/ and a word here.
GROUPS = {
    "train your own": ("check", "browse", "plan", "train"),
    "know a detector": ("eval", "report", "why", "compare", "compare-recipes"),
    "use a detector": ("predict", "label", "ui", "export", "benchmark"),
    "set up and convert": (
        *("quickstart", "zoo", "convert", "convert-checkpoint", "install-detectron2"),
    ),
}
WITHOUT_DETECTRON2 = ("install-detectron2",)

_EXAMPLES = """\
examples:
  fcos quickstart
  fcos check my_data/
  fcos train my_data/ --budget 20m
  fcos report --weights output/my_data/model_best.pth
  fcos predict photos/ --weights output/my_data/model_best.pth --output drawn/"""


class _Version(argparse.Action):
    """Looks the version up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"fcos_d2 {version('fcos_d2')}")
        parser.exit()


class Parser(argparse.ArgumentParser):
    """Says wrong use in one line, with the way to the help."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"error: {message}; see {self.prog} --help\n")


def main(argv: list[str] | None = None) -> int:
    """Runs a command line.

    Args:
        argv: without the program's name; None takes that of this process.

    Returns:
        The exit code, see `exit_codes`.
    """
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks what could follow
        complete(parser)
    arguments = _parse(parser, argv)
    # Other programs may call this after hours.
    arguments.begun = process_began() if argv is None else time.monotonic()
    if arguments.command is None:
        parser.print_help()
        return WRONG_USE
    return start(arguments)


def _parse(parser: argparse.ArgumentParser, argv: list[str] | None) -> argparse.Namespace:
    """As `parse_args`, with words both before and after the options.

    argparse gives all words of `fcos train FOLDER --output mine KEY VALUE` to those that stand
    first, and leaves the others over.
    """
    arguments, over = parser.parse_known_args(argv)
    if not over:
        return arguments
    words = getattr(arguments, "words", None)
    if not words or any(re.match(r"-[^\d.]", word) for word in over):
        parser.error(f"unrecognized arguments: {' '.join(over)}")
    words += over
    return arguments


def build_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands; heavy modules are not imported."""
    parser = Parser(
        prog="fcos",
        usage="fcos COMMAND ...",
        description="Train and use FCOS object detectors.",
        epilog=f"{_listing()}\n\n{_EXAMPLES}\n\nfcos COMMAND --help: options and exit codes",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    parser.add_argument("--version", action=_Version, nargs=0, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", metavar="", help=argparse.SUPPRESS)
    for name in command_names():
        module = load(name)
        command = commands.add_parser(
            name,
            prog=f"fcos {name}",
            description=module.SUMMARY,
            epilog=f"examples:\n{_indented(module.EXAMPLES)}\n\n{as_text()}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.usage = _usage(command)
        command.set_defaults(run=module.run)
    return parser


def _usage(command: argparse.ArgumentParser) -> str:
    """What stands where; the options are listed below it anyway."""
    words = ["[options]"]
    for action in command._actions:
        if not action.option_strings:
            words.append(str(action.metavar) if action.nargs is None else f"[{action.metavar} ...]")
        elif action.required:
            value = action.metavar if isinstance(action.metavar, str) else "VALUE"
            words.append(f"{action.option_strings[0]} {value}")
    return f"{command.prog} {' '.join(words)}"


def command_names() -> list[str]:
    """All subcommands, in the order of the help."""
    return [name for names in GROUPS.values() for name in names]


def load(name: str) -> ModuleType:
    """The module of a subcommand."""
    return importlib.import_module(f"fcos_cli.commands.{name.replace('-', '_')}")


def _listing() -> str:
    """The subcommands in their groups, a line for each."""
    lines = []
    for group, names in GROUPS.items():
        lines += [f"{group}:", *(f"  {name:<19} {load(name).SUMMARY}" for name in names)]
    return "\n".join(lines)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.splitlines())


def complete(parser: argparse.ArgumentParser) -> None:
    """Answers the shell, where argcomplete is installed."""
    if importlib.util.find_spec("argcomplete"):
        import argcomplete

        argcomplete.autocomplete(parser)


def start(arguments: argparse.Namespace) -> int:
    """Runs the subcommand of `arguments`; returns the exit code."""
    if arguments.command in WITHOUT_DETECTRON2:
        return arguments.run(arguments)
    return enter(arguments.run, arguments, f"fcos {arguments.command}")


def enter(
    run: Callable[[argparse.Namespace], int | None], arguments: argparse.Namespace, program: str
) -> int:
    """Runs a command that needs detectron2.

    Args:
        run: the command.
        arguments: of it.
        program: whose --help a user may read.

    Returns:
        The exit code.
    """
    if find_installed() is None:
        line = "detectron2 is missing, and PyPI does not have it: run `fcos install-detectron2`"
        print(f"error: {line}", file=sys.stderr)
        return FAILED
    from fcos_deploy.door import enter as enter_door

    return enter_door(partial(_run, run, arguments, program))


def _run(
    run: Callable[[argparse.Namespace], int | None], arguments: argparse.Namespace, program: str
) -> int | None:
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of torch and its friends, about themselves
    import fcos_d2  # before torch, whose threads it sets up

    fcos_d2.keep_freed_memory()
    try:
        return run(arguments)
    except WrongUse as error:
        print(f"error: {error}; see {program} --help", file=sys.stderr)
        return WRONG_USE
