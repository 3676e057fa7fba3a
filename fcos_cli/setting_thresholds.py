"""What `fcos report --set-threshold` writes, and where."""

import argparse
from pathlib import Path

from fcos_d2.checkpoint import stored_class_names
from fcos_d2.chosen_thresholds import (
    check_classes,
    check_place,
    classes_of_export,
    thresholds_for,
    write_to_config,
    write_to_export,
)
from fcos_d2.evaluation.report.flow import Report
from fcos_d2.evaluation.thresholds import Wanted
from fcos_d2.model_zoo import get_config_file
from fcos_deploy.settings import FILE_NAME
from fcos_deploy.text import say
from fcos_deploy.thresholds import in_words

from .exit_codes import WrongUse
from .model_choice import config_of


def check_places(arguments: argparse.Namespace) -> None:
    """Before anything is measured: whether the wish is one, and thresholds have a place.

    Raises:
        WrongUse: another wish.
        ValueError: a config that holds no thresholds, or no export; names it.
    """
    try:
        Wanted.parse(arguments.set_threshold)
    except ValueError as error:
        raise WrongUse(f"--set-threshold: {error}") from None
    if arguments.export:
        names = classes_of_export(arguments.export)
        if arguments.weights:
            names = stored_class_names(arguments.weights, arguments.trust_checkpoint) or names
        check_classes(arguments.export, names)
    if not arguments.results:
        check_place(_config(arguments))


def set_threshold(report: Report, arguments: argparse.Namespace) -> None:
    """Writes the thresholds and says them.

    Raises:
        ValueError: none gives what is wanted, or a file cannot be written.
    """
    names = report.data.class_names
    if arguments.export:
        names = classes_of_export(arguments.export)
    if report.weights:
        names = stored_class_names(report.weights, arguments.trust_checkpoint) or names
    wish, by_class = arguments.set_threshold, arguments.by_class
    thresholds, lines = thresholds_for(report.matches, wish, names, by_class)
    places = []
    if arguments.export:  # first: it may be one of other classes
        write_to_export(arguments.export, thresholds, names)
        places.append(str(arguments.export / FILE_NAME))
    if not arguments.results:
        write_to_config(_config(arguments), thresholds, names)
        places.insert(0, str(_config(arguments)))
    for line in lines:
        say(line)
    say(f"lowest score of a detection, {wish}: {in_words(thresholds, names)}")
    say(f"written to {' and '.join(places)}")


def _config(arguments: argparse.Namespace) -> Path:
    return Path(get_config_file(config_of(arguments)))
