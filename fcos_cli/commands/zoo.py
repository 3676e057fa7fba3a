"""`fcos zoo`."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fcos_d2.model_zoo import ModelEntry

SUMMARY = "list the models: names for --config, published weights, measured AP"

EXAMPLES = """\
fcos zoo
fcos zoo FCOS-RT
fcos zoo --markdown"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("words", nargs="*", metavar="WORD", help="only names with all of these")
    parser.add_argument(
        "--markdown", action="store_true", help="the table of the docs, with parameters; slower"
    )


def run(arguments: argparse.Namespace) -> None:
    """Prints the list."""
    from fcos_d2 import model_zoo

    if arguments.markdown:
        print(model_zoo.table())
        return
    words = [word.lower() for word in arguments.words]
    names = [x for x in model_zoo.list_configs() if all(word in x.lower() for word in words)]
    if not names:
        raise ValueError(f"no model has {' and '.join(arguments.words)} in its name; see fcos zoo")
    for name in names:
        print(_line(name, model_zoo.MODELS.get(name)))


def _line(name: str, entry: "ModelEntry | None") -> str:
    """A model, its AP on COCO and whether there are weights."""
    if entry is None:
        return name
    facts = [entry.measured]
    if entry.reported_ap:
        facts.append(f"COCO AP {entry.reported_ap}, reported by {entry.reported_by}")
    if entry.weights:
        facts.append(f"--weights zoo://{name} ({entry.weights.licence})")
    return f"{name:<40}{'; '.join(x for x in facts if x)}".rstrip()
