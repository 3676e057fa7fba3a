"""Score thresholds that are written where detectors look for them: configs and exports."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from fcos_deploy.settings import FILE_NAME
from fcos_deploy.text import read_text, read_yaml
from fcos_deploy.thresholds import Thresholds, as_written
from fcos_deploy.writing import write_text

from .config_files import read_config_file, reason
from .config_targets import has_targets
from .engine.keys import key_of
from .evaluation.matches import Matches
from .evaluation.thresholds import choose
from .model_zoo import config_root
from .yaml_edit import with_value

DIGITS = 6  # of a threshold in a file


def thresholds_for(
    matches: Matches, wanted: str, class_names: Sequence[str], by_class: bool
) -> tuple[Thresholds, list[str]]:
    """The score thresholds of a model that give what is wanted.

    Args:
        matches: of its detections on a set.
        wanted: see `evaluation.thresholds.Wanted`.
        class_names: of the model, K.
        by_class: one for each class; otherwise one that serves all together.

    Returns:
        K thresholds, and lines about classes that got the one for all, for lack of objects.

    Raises:
        ValueError: a wish that is none, or that no threshold gives; says how near one comes.
    """
    choice = choose(matches, wanted)
    overall = choice.overall.threshold
    if overall is None:
        raise ValueError(f"no score threshold gives {choice.wanted}: {choice.overall.reason}")
    if not by_class:
        return (round(overall, DIGITS),) * len(class_names), []
    objects = dict(zip(matches.class_names, matches.object_counts[0].sum(axis=1), strict=True))
    thresholds, lines = [], []
    for name in class_names:
        own = choice.by_class.get(name)
        if own is None or own.threshold is None:
            reason = "the data do not know it" if own is None else own.reason
            if choice.wanted.kind != "f1" and objects.get(name, 0):
                raise ValueError(
                    f"no score threshold gives {choice.wanted} for {name!r}: {reason}; ask for "
                    "less, or for one threshold for all classes"
                )
            lines.append(f"{name}: {reason}, so it gets the threshold for all classes")
            thresholds.append(overall)
        else:
            thresholds.append(own.threshold)
    return tuple(round(x, DIGITS) for x in thresholds), lines


def write_to_config(path: str | Path, thresholds: Thresholds, class_names: Sequence[str]) -> None:
    """Writes score thresholds into the config of a model; all the rest of the file stays.

    Args:
        path: of a yaml file, such as the config.yaml beside the weights.
        thresholds: of the classes.
        class_names: K.

    Raises:
        ValueError: a config that holds no thresholds: code, or one that belongs to fcos_d2; or a
            file that cannot be read or changed. Names it.
    """
    path = check_place(path)
    lazy = has_targets(read_config_file(path))
    keys = key_of("score_thresh", "lazy" if lazy else "yaml").split(".")
    _write(path, keys, as_written(thresholds, class_names))


def check_place(path: str | Path) -> Path:
    """The config, if thresholds can be written into it.

    Raises:
        ValueError: they cannot; says why and what to do.
    """
    path = Path(path)
    if path.suffix == ".py":
        key = key_of("score_thresh", "lazy")
        raise ValueError(
            f"{path} is code, which is not changed: write {key} = ... into it, or take the "
            "config.yaml that training left beside the weights"
        )
    if path.resolve().is_relative_to(config_root().resolve()):
        raise ValueError(
            f"{path} belongs to fcos_d2 and to all weights of its kind, so no thresholds are "
            "written into it: copy it beside your weights as config.yaml, and name it by --config"
        )
    return path


def write_to_export(folder: str | Path, thresholds: Thresholds, class_names: Sequence[str]) -> None:
    """Writes score thresholds into infer.yaml of an exported model; pictures then show them all.

    Args:
        folder: that `fcos export` wrote.
        thresholds: of the classes.
        class_names: K, of the detector that they were chosen for.

    Raises:
        ValueError: no export, or one of other classes; names it.
    """
    check_classes(folder, class_names)
    path = Path(folder) / FILE_NAME
    _write(path, ["thresholds", "score"], as_written(thresholds, class_names))
    _write(path, ["thresholds", "draw"], 0.0)


def check_classes(folder: str | Path, class_names: Sequence[str]) -> None:
    """Raises ValueError for an export that is not of these classes, in this order."""
    path = Path(folder) / FILE_NAME
    names = classes_of_export(folder)
    if names != list(class_names):
        raise ValueError(
            f"{path}: an export of the classes {', '.join(map(str, names))}, and the thresholds "
            f"are for {', '.join(class_names)}: name the export of these weights"
        )


def classes_of_export(folder: str | Path) -> list[str]:
    """Names of the classes of an exported model, of any format.

    Raises:
        ValueError: no export; names the file.
    """
    path = Path(folder) / FILE_NAME
    if not path.is_file():
        raise ValueError(f"{path}: no such file; an export is a folder that `fcos export` wrote")
    content: Any = read_yaml(path)
    try:
        return [x["name"] for x in content["classes"]]
    except (KeyError, TypeError):
        raise ValueError(f"{path}: not the settings of an exported model") from None


def _write(path: Path, keys: list[str], value: object) -> None:
    try:
        text = with_value(read_text(path), keys, value)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path}: {'.'.join(keys)} cannot be written: {reason(error)}") from None
    write_text(path, text)
