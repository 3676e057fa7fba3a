"""Which data a request means: a folder, files that it names, or those of the config."""

import logging
import os

from ..datasets.folder import FoundData, data_in, find_data
from ..datasets.own_data import DataFiles, OwnData, on_main, register_own_data
from ..datasets.splitting import make_split, was_made
from .request import Request
from .run_parts import Run

logger = logging.getLogger(__name__)


def take_data(request: Request, run: Run) -> None:
    """Takes the config's own data where the request names none.

    What the request does say, such as where the images are now, wins over the config.
    """
    if request.folder or request.train_data or request.val_data:
        return
    for name, value in run.own_data.items():
        if getattr(request, name) in (None, "auto"):
            setattr(request, name, value)
    if request.eval_only:
        request.val_data = request.val_data or request.folder


def own_data(
    request: Request, output_dir: str, masks: str = "unused", compare: bool = True
) -> OwnData | None:
    """Registers the user's own data; None where the config's datasets are meant.

    Args:
        request: names them.
        output_dir, masks, compare: see `register_own_data`.

    Raises:
        ValueError: data that are missing or wrong; names them and the cure.
    """
    for side in ("train", "val"):
        images = getattr(request, f"{side}_images")
        if images and not getattr(request, f"{side}_data"):
            raise ValueError(f"--{side}-images {images} is given without --{side}-data")
    if not (request.folder or request.train_data or request.val_data):
        if request.classes:
            raise ValueError("--classes is given without a folder, --train-data or --val-data")
        return None
    if request.eval_only:
        train, val, test, format = _to_evaluate(request, output_dir)
    else:
        train, val, test, format = _to_learn(request, output_dir)
    return register_own_data(
        train,
        val,
        output_dir,
        test=test,
        classes=request.classes,
        format=format,
        check=request.check,
        masks=masks,
        compare=compare and not (request.resume or was_made(val)),
    )


Sets = tuple[DataFiles | None, DataFiles | None, DataFiles | None, str]


def _to_evaluate(request: Request, output_dir: str) -> Sets:
    if not request.val_data:
        raise ValueError("--eval-only on own data needs --val-data")
    given, format = DataFiles(request.val_data, request.val_images), request.data_format
    # An evaluation may write elsewhere; training has left its split beside the weights.
    places = [output_dir, *([os.path.dirname(request.weights)] if request.weights else [])]
    files, lines = on_main(
        lambda: data_in(given, "val", format, classes=request.classes, beside=places)
    )
    _say(lines)
    return None, files, None, format


def _to_learn(request: Request, output_dir: str) -> Sets:
    given = DataFiles(request.val_data, request.val_images) if request.val_data else None
    if not request.folder:
        if not request.train_data:
            raise ValueError("training on own data needs --train-data, or its folder")
        return DataFiles(request.train_data, request.train_images), given, None, request.data_format
    if request.train_data:
        raise ValueError(
            f"two sets to learn from: the folder {request.folder} and --train-data "
            f"{request.train_data}; leave one out"
        )
    folder = request.folder
    found: FoundData = on_main(lambda: find_data(folder, format=request.data_format))
    _say(found.lines)
    train, val = found.train, given or found.val
    if val is None:
        train, val, line = on_main(
            lambda: make_split(
                found.train,
                output_dir,
                format=found.format,
                classes=request.classes,
                check=request.check,
            )
        )
        _say([line])
    return train, val, found.test, "auto"


def _say(lines: list[str]) -> None:
    for line in lines:
        logger.info(line)
