"""What `fcos label` does: look, detect, write, and list what to label first."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import numpy as np
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

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WRITTEN_EVERY = 60.0  # s
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
    labels = _Labels(arguments, formats, predictor.class_names, thresholds)
    skipped, failed = _look(predictor, folder, wanted, formats, ranking, labels)
    labels.write()
    for format, path in labels.files.items():
        say(f"{format}: {shown(path)}")
    if labels.images and ranking is not None:
        _write_ranking(ranking, output, arguments.uncertain)
    images = f"{labels.images} of {len(wanted)} images"
    print(f"{labels.boxes} boxes in {images}, {len(skipped)} skipped", end="")
    say("\n  ".join([":" if skipped else "", *skipped]))
    if failed is not None:
        raise failed
    return DONE if labels.images else FAILED


class _Labels:
    """What was found, on its way to the output folder: a kill loses a minute of it at most."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        formats: list[str],
        class_names: list[str],
        thresholds: np.ndarray,
    ) -> None:
        self.files: dict[str, Path] = {}  # written, by format
        self.images = self.boxes = 0  # written
        self._folder, self._output, self._formats = arguments.folder, arguments.output, formats
        self._class_names, self._thresholds = class_names, thresholds
        place = quote(os.fsencode(arguments.folder.resolve().name))
        # Which run and file, but not whose machine.
        version = "/".join(Path(arguments.weights or arguments.config).parts[-2:])
        self._options = {
            "image_url": arguments.image_url or f"/data/local-files/?d={place}/",
            "model_version": version,
        }
        self._waiting: list[Looked] = []
        self._written_at = time.monotonic()

    def add(self, looked: Looked) -> None:
        """Takes an image, and writes from time to time."""
        self._waiting.append(looked)
        if time.monotonic() - self._written_at >= WRITTEN_EVERY:
            self.write()

    def write(self) -> None:
        """Writes what waits.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed meanwhile; all is written.
            ValueError, OSError: naming the file.
        """
        # What fails is not written again: some formats have it already.
        looked, self._waiting = self._waiting, []
        if not looked:
            return
        thresholds = self._thresholds
        coco = as_coco(looked, self._class_names, lambda x: x.scores >= thresholds[x.classes])
        with _ctrl_c_waits():
            for format in self._formats:
                there = read_written(self._output, format, self._class_names, self._folder)
                self.files[format] = write_labels(
                    coco, self._folder, self._output, format, there=there, **self._options
                )
            self.images += len(looked)
            self.boxes += len(coco["annotations"])
            self._written_at = time.monotonic()


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Ctrl-C and a request to end take effect when this is done."""
    pressed: list[int] = []
    before = {x: signal.signal(x, lambda number, _: pressed.append(number)) for x in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if pressed:
        raise KeyboardInterrupt


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
    labels: _Labels,
) -> tuple[list[str], Exception | None]:
    """Looks at the images, until Ctrl-C or an error; why some were skipped, and the error."""
    looked, skipped = 0, list[str]()

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
                looked += 1
                labels.add(Looked(name, height, width, found))
        except Exception as error:  # such as a GPU without memory: what was found is kept
            failed = error
    if looked + len(skipped) < len(names):
        say(f"stopped after {looked + len(skipped)} of {len(names)} images")
    return skipped, failed
