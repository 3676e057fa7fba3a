"""Which data a request means: a folder, files that it names, or those of the config."""

import logging

from ..datasets.folder import FoundData, data_in, find_data
from ..datasets.own_data import DataFiles, OwnData, on_main, register_own_data
from ..datasets.splitting import make_split, was_made
from .request import Request
from .run_parts import Run

logger = logging.getLogger(__name__)


def own_data(request: Request, run: Run) -> OwnData | None:
    """Registers the user's own data; None where the config's datasets are meant.

    Raises:
        ValueError: data that are missing or wrong; names them and the cure.
    """
    if not (request.folder or request.train_data or request.val_data):
        for word in ("train_images", "val_images", "classes"):
            if getattr(request, word):
                flag = word.replace("_", "-")
                raise ValueError(f"--{flag} is given without --train-data or --val-data")
        return None
    if request.eval_only:
        train, val, test, format = _to_evaluate(request)
    else:
        train, val, test, format = _to_learn(request, run.output_dir)
    return register_own_data(
        train,
        val,
        run.output_dir,
        test=test,
        classes=request.classes,
        format=format,
        check=request.check,
        masks=run.masks,
        compare=not (request.resume or was_made(val)),
    )


Sets = tuple[DataFiles | None, DataFiles | None, DataFiles | None, str]


def _to_evaluate(request: Request) -> Sets:
    if not request.val_data:
        raise ValueError("--eval-only on own data needs --val-data")
    given = DataFiles(request.val_data, request.val_images)
    files, lines = on_main(lambda: data_in(given, "val", request.data_format))
    _say(lines)
    return None, files, None, request.data_format


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
                again=not request.resume,
            )
        )
        _say([line])
    return train, val, found.test, "auto"


def _say(lines: list[str]) -> None:
    for line in lines:
        logger.info(line)
