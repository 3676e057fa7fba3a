"""Short trainings on parts of the labels: what twice the labels would likely bring."""

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng

from fcos_deploy.writing import write_text

from .clock import BudgetTooShort
from .forecast import RUN_NOISE, gain_of_doubling
from .learning_curve import curve_of
from .request import Request
from .run_parts import Changes, Logging, Run
from .trainer import Trainer

logger = logging.getLogger(__name__)

PARTS = (0.25, 0.5, 1.0)  # of the labelled images
SHARE = 0.08  # of the budget, for each of them
FILE = "label_forecast.json"


def train_on_parts(run: Run, request: Request) -> list[tuple[int, float]]:
    """Trains on PARTS of the images, each in SHARE of the budget.

    Args:
        run: with a budget.
        request: from which it was made.

    Returns:
        Numbers of images, and the metric of the run after a training on them; fewer than PARTS
        where the budget is too short. A run that goes on finds them in its folder.
    """
    path = os.path.join(run.output_dir, FILE)
    found: list[tuple[int, float]] = []
    for part in PARTS:
        try:
            found.append(_train_on(part, run, request))
        except BudgetTooShort as error:
            logger.warning("no forecast for labels: %s", error)
            break
    if comm.is_main_process():
        write_text(path, json.dumps(found))
    seed_all_rng(None if run.seed < 0 else run.seed + comm.get_rank())
    return found


def earlier_results(output_dir: str) -> list[tuple[int, float]]:
    """What `train_on_parts` found in an earlier life of the run; none where it did not."""
    try:
        with open(os.path.join(output_dir, FILE), encoding="utf-8") as file:
            return [(int(images), float(value)) for images, value in json.load(file)]
    except (OSError, ValueError, TypeError):
        return []


def in_words(found: Sequence[tuple[int, float]]) -> str:
    """What twice the labels would bring, or why that cannot be told."""
    if len(found) < len(PARTS):
        return "cannot be told: the budget is too short"
    images, values = zip(*found, strict=True)
    if min(values) <= 0:
        return "cannot be told: the trainings on parts of them were too short"
    gain = gain_of_doubling(images, values, noise=RUN_NOISE)
    seen = ", ".join(f"{value:.1f} from {count} images" for count, value in found)
    told = gain.in_words() if gain.is_told else f"cannot be told, {gain.doubt()}"
    return f"{told}; in {SHARE:.0%} of the time: {seen}".replace("%", " %")


def _train_on(part: float, run: Run, request: Request) -> tuple[int, float]:
    names = tuple(_part_of(name, part) for name in run.train_datasets)
    images = sum(len(DatasetCatalog.get(name)) for name in names)
    settings = run.training()
    folder = os.path.join(run.output_dir, "forecast")
    short = replace(
        settings,
        budget=SHARE * settings.budget,
        eval_period=sys.maxsize,  # at the end alone
        patience=0,
        expected_results=(),
        logging=Logging(backends=()),
    )
    smaller = run.finish(Changes(train_datasets=names))
    smaller = replace(smaller, output_dir=folder, training=lambda: short)
    os.makedirs(folder, exist_ok=True)
    seed_all_rng(None if run.seed < 0 else run.seed + comm.get_rank())
    trainer = Trainer(
        smaller,
        request.trust_checkpoint,
        begun=time.monotonic(),
        accept_noncommercial=request.accept_noncommercial,
    )
    trainer.resume_or_load(resume=False)
    trainer.train()
    curve = curve_of(trainer)
    value = curve.points[-1][2] if curve is not None and curve.points else 0.0
    comm.synchronize()
    if comm.is_main_process():
        shutil.rmtree(folder)
        logger.info("%d images, %.0f s: %s %.1f", images, short.budget, short.best_metric, value)
    comm.synchronize()
    return images, value


def _part_of(name: str, part: float) -> str:
    """The name of a dataset with this share of another one's images; of a larger part's a part."""
    if part == 1:
        return name
    new = f"{name}_{part:g}"
    if new not in DatasetCatalog:
        records = DatasetCatalog.get(name)
        order = np.random.default_rng(0).permutation(len(records))
        kept = [records[i] for i in order[: max(round(part * len(records)), 1)]]
        DatasetCatalog.register(new, lambda: kept)
        known = {x: y for x, y in MetadataCatalog.get(name).as_dict().items() if x != "name"}
        MetadataCatalog.get(new).set(**known)
    return new
