"""What `fcos label` does: look, detect, write, and list what to label first."""

import argparse
import os
import sys
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from tqdm import tqdm

from fcos_d2.labelling.detecting import Looked, as_coco, read_images
from fcos_d2.labelling.existing import images_below, labelled_in
from fcos_d2.labelling.ranking import Ranking, free_path, write_ranking
from fcos_d2.labelling.uncertain import LOWEST
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

from .drawing import load_predictor, lowered
from .exit_codes import DONE, FAILED

SHOWN = 10  # of the images to label first, in the terminal


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
    thresholds = lowered(predictor, LOWEST if arguments.uncertain else 1.0)
    check_classes(predictor.class_names, formats)
    there = {x: read_written(output, x, predictor.class_names, folder) for x in formats}
    wanted = _without_labels(folder, output, names, there)
    if not wanted:
        return DONE
    ranking = Ranking(predictor, thresholds) if arguments.uncertain else None
    looked, skipped, failed = _look(predictor, folder, wanted, formats, ranking)
    coco = as_coco(looked, predictor.class_names, lambda x: x.scores >= thresholds[x.classes])
    if looked:
        place = quote(os.fsencode(folder.resolve().name))
        url = arguments.image_url or f"/data/local-files/?d={place}/"
        # Which run and file, but not whose machine.
        version = "/".join(Path(arguments.weights or arguments.config).parts[-2:])
        for format in formats:
            written = write_labels(
                *(coco, folder, output, format),
                there=there[format],
                image_url=url,
                model_version=version,
            )
            say(f"{format}: {shown(written)}")
    if looked and ranking is not None:
        _write_ranking(ranking, output, arguments.uncertain)
    count = len(coco["annotations"])
    print(f"{count} boxes in {len(looked)} of {len(wanted)} images, {len(skipped)} skipped", end="")
    say("\n  ".join([":" if skipped else "", *skipped]))
    if failed is not None:
        raise failed
    return DONE if looked else FAILED


def _write_ranking(ranking: Ranking, output: Path, count: int) -> None:
    rows, path = ranking.first(count), free_path(output)
    output.mkdir(parents=True, exist_ok=True)
    write_ranking(path, rows)
    say(f"to label first: {shown(path)}")
    for name, doubts, why in rows[:SHOWN]:
        say(f"  {shown(name)}: {doubts.total:.2f} ({shown(why)})")
    if len(rows) > SHOWN:
        print(f"  and {len(rows) - SHOWN} more")


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
    predictor: Predictor,
    folder: Path,
    names: list[str],
    formats: list[str],
    ranking: Ranking | None,
) -> tuple[list[Looked], list[str], Exception | None]:
    """What is found in the images, until Ctrl-C or an error, and why others are skipped."""
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
    failed = None
    with suppress(KeyboardInterrupt), closing(read_images(folder, held)) as images:
        try:
            for name, image in tqdm(images, total=len(held), unit="image", disable=None):
                if isinstance(image, ImageError):
                    skip(str(image))
                    continue
                height, width = image.shape[:2]
                found = predictor.detect(image) if ranking is None else ranking.look(name, image)
                looked.append(Looked(name, height, width, found))
        except Exception as error:  # such as a GPU without memory: what was found is kept
            failed = error
    if len(looked) + len(skipped) < len(names):
        say(f"stopped after {len(looked) + len(skipped)} of {len(names)} images")
    return looked, skipped, failed
