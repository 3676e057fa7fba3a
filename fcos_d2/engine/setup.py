"""From what is asked for to a run that is ready to start."""

import logging
import os
import time
from dataclasses import replace

import torch
from detectron2.config import CfgNode
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import seed_all_rng
from omegaconf import DictConfig

from fcos_deploy.text import read_text
from fcos_deploy.writing import remove_leftovers

from .. import model_zoo
from ..checkpoint import stored_class_names
from ..config_files import same_config
from ..datasets.own_data import OwnData
from ..device import check_precision, resolve_device
from .console import setup_logging
from .data import own_data, take_data
from .keys import adding_keys, key_of, overrides
from .request import Request
from .restarts import is_restart
from .run_of import run_of
from .run_parts import Changes, Run
from .starting import take_start

logger = logging.getLogger(__name__)


def prepare(request: Request) -> Run:
    """The run that is asked for: config, overrides, own data, scaling and device.

    Starts logging, seeds the random numbers and saves the config in the output folder. A restart by
    torchrun becomes a request to resume.

    Raises:
        ValueError: bad config, override or data; names it.
    """
    if request.begun is None:
        request.begun = time.monotonic()
    request.config_file = model_zoo.get_config_file(request.config_file)
    take_start(request)
    run = run_of(_config(request, _overrides(request)))
    take_data(request, run)
    setup_logging(run.output_dir, request.verbose, run.kind)
    if comm.is_main_process():
        for path in remove_leftovers(run.output_dir):
            logger.info("removed %s, half-written by a run that was killed", path)
    if not (request.eval_only or request.resume):
        request.resume = is_restart(run.output_dir)
    with adding_keys(run.kind):
        own = own_data(request, run.output_dir, run.masks)
        run = run.finish(_changes(request, run, own))
        if own is not None and not request.eval_only:
            run = replace(run, final_test=own.test)
        precision = None if request.eval_only else run.training().precision
        check_precision(precision, run.device)
    _begin(request, run)
    return run


def _config(request: Request, opts: list[str] | None = None) -> CfgNode | DictConfig:
    return model_zoo.get_config(request.config_file, opts, request.trust_config)


def _overrides(request: Request) -> list[str]:
    """Those of the user, and then what the request says in values of its own."""
    names = ("weights", "output_dir", "device", "budget")
    given = {name: value for name in names if (value := getattr(request, name)) is not None}
    if not given:
        return request.opts
    return [*request.opts, *overrides(given, run_of(_config(request)).kind)]


def _changes(request: Request, run: Run, own: OwnData | None) -> Changes:
    class_names = own.class_names if own is not None else None
    if request.eval_only:
        class_names = _trained_classes(request, run) or class_names
    if class_names is not None:
        _refuse_other_class_count(request, run, len(class_names))
    factor = None
    if request.auto_scale:
        of_the_file = run_of(_config(request)).training()
        factor = run.training().total_batch_size / of_the_file.total_batch_size
    train, test = None, None
    if own is not None:
        train = (own.train,) if own.train else ()
        test = (own.val,) if own.val else ()
    return Changes(
        num_classes=len(class_names) if class_names is not None else None,
        train_datasets=train,
        test_datasets=test,
        batch_factor=factor,
        device=resolve_device(run.device, request.num_gpus),
        eval_by_progress=_gives(request, run, "budget") and not _gives(request, run, "eval_period"),
        trains=not request.eval_only,
        given=tuple(request.opts),
    )


def _gives(request: Request, run: Run, argument: str) -> bool:
    """Whether the command line gives an argument, rather than the config file."""
    if getattr(request, argument, None) is not None:
        return True
    return key_of(argument, run.kind) in [opt.split("=", 1)[0] for opt in request.opts]


def _trained_classes(request: Request, run: Run) -> list[str] | None:
    """The classes of what is evaluated, which win over those of config and data."""
    if not run.weights:
        raise ValueError(
            "--eval-only needs the checkpoint of a trained detector: `weights=model.pth`"
        )
    class_names = stored_class_names(run.weights, request.trust_checkpoint)
    if class_names is None:
        logger.warning(
            "%s does not name its classes: they are taken to be those of the data, in its order",
            run.weights,
        )
    return class_names


def _refuse_other_class_count(request: Request, run: Run, num_classes: int) -> None:
    key = run.num_classes_key
    words = [word for opt in request.opts for word in opt.split("=", 1)]
    if key in words and words[words.index(key) + 1] != str(num_classes):
        source = "the checkpoint has" if request.eval_only else "the annotations have"
        raise ValueError(
            f"{key} is given as {words[words.index(key) + 1]}, but {source} {num_classes} "
            "classes; leave the key out"
        )


def _says_the_same(request: Request, run: Run, path: str) -> bool:
    """Whether `path` is the config that was read, and nothing has changed it since.

    So a config with comments, such as a planned one, keeps them.
    """
    same_file = os.path.exists(path) and os.path.samefile(path, request.config_file)
    return same_file and run.kind == "yaml" and same_config(_config(request), run.config)


def _begin(request: Request, run: Run) -> None:
    """What detectron2's `default_setup` does: environment and config in the log, and the seed."""
    rank = comm.get_rank()
    logger.info("Rank of current process: %d. World size: %d", rank, comm.get_world_size())
    logger.info("Environment info:\n%s", collect_env_info())
    logger.info("Command line arguments: %s", request)
    content = read_text(request.config_file)
    logger.info("Contents of config_file=%s:\n%s", request.config_file, content)
    if comm.is_main_process():
        path = os.path.join(run.output_dir, "config.yaml")
        if not _says_the_same(request, run, path):
            run.save_config(path)
        logger.info("Running with full config:\n%s", read_text(path))
        logger.info("Full config saved to %s", path)
    seed_all_rng(None if run.seed < 0 else run.seed + rank)
    if not request.eval_only:
        # It costs more than it saves where images differ in size, as in evaluation.
        torch.backends.cudnn.benchmark = run.cudnn_benchmark
