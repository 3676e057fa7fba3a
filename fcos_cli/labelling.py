"""What `fcos label` does: look, detect, write, and list what to label first."""

import argparse
import sys
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import numpy as np
from tqdm import tqdm

from fcos_d2.detections import ImageDetections
from fcos_d2.labelling.detecting import Looked, as_coco, read_images
from fcos_d2.labelling.existing import images_below, labelled_in
from fcos_d2.labelling.written import (
    Written,
    cannot_hold,
    check_classes,
    check_shared_files,
    has_labels,
    read_written,
    write_labels,
)
from fcos_d2.predictor import Predictor
from fcos_deploy.text import say, shown
from fcos_deploy.vision import ImageError

from .drawing import load_predictor
from .exit_codes import DONE, FAILED


def label(arguments: argparse.Namespace) -> int:
    """Labels the images of a folder that have none; see `fcos label --help`.

    Returns:
        The exit code.

    Raises:
        ValueError, OSError: naming what is wrong.
    """
    folder, output, formats = arguments.folder, arguments.output, [*dict.fromkeys(arguments.format)]
    names = images_below(folder, output)
    check_shared_files(names, formats)
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: is a file; --output is a folder")
    predictor = load_predictor(arguments)
    check_classes(predictor.class_names, formats)
    there = {x: read_written(output, x, predictor.class_names) for x in formats}
    wanted = _without_labels(folder, output, names, there)
    if not wanted:
        return DONE
    looked, skipped = _look(predictor, folder, wanted, formats)
    coco = as_coco(looked, predictor.class_names, lambda found: _is_label(found, arguments))
    if looked:
        url = arguments.image_url or f"/data/local-files/?d={quote(folder.resolve().name)}/"
        version = arguments.weights or arguments.config
        for format in formats:
            options = {"there": there[format], "image_url": url, "model_version": version}
            written = write_labels(coco, folder, output, format, **options)
            say(f"{format}: {shown(written)}")
    count = len(coco["annotations"])
    print(f"{count} boxes in {len(looked)} of {len(wanted)} images, {len(skipped)} skipped", end="")
    say("\n  ".join([":" if skipped else "", *skipped]))
    return DONE if looked else FAILED


def _is_label(found: ImageDetections, arguments: argparse.Namespace) -> np.ndarray:
    return found.scores >= arguments.threshold


def _without_labels(
    folder: Path, output: Path, names: list[str], there: dict[str, Written]
) -> list[str]:
    """The images to label; says how many have labels already."""
    in_folder = labelled_in(folder, names, output)
    in_output = {
        name
        for name in names
        if name not in in_folder and any(has_labels(output, x, there[x], name) for x in there)
    }
    if in_folder or in_output:
        places = [(in_folder, folder), (in_output, output)]
        counts = " and ".join(f"{len(x)} in {shown(place)}" for x, place in places if x)
        count = len(in_folder | in_output)
        say(f"{count} of {len(names)} images have labels, which they keep ({counts})")
    return [name for name in names if name not in in_folder | in_output]


def _look(
    predictor: Predictor, folder: Path, names: list[str], formats: list[str]
) -> tuple[list[Looked], list[str]]:
    """What is found in the images, until Ctrl-C, and why others are skipped."""
    looked: list[Looked] = []
    skipped: list[str] = []

    def skip(why: str) -> None:
        skipped.append(why)
        tqdm.write(f"skipped: {shown(why)}", file=sys.stderr)

    held = []
    for name in names:
        if format := cannot_hold(name, formats):
            skip(f"{folder / name}: {format} cannot hold this name; rename it, or write coco")
        else:
            held.append(name)
    with suppress(KeyboardInterrupt), closing(read_images(folder, held)) as images:
        for name, image in tqdm(images, total=len(held), unit="image"):
            if isinstance(image, ImageError):
                skip(str(image))
                continue
            height, width = image.shape[:2]
            looked.append(Looked(name, height, width, predictor.detect(image)))
    if len(looked) + len(skipped) < len(names):
        say(f"stopped after {len(looked) + len(skipped)} of {len(names)} images")
    return looked, skipped
