"""Training and evaluation from a LazyConfig."""

import copy
import logging
import os
from contextlib import suppress
from functools import partial

from detectron2.config import instantiate
from detectron2.evaluation import inference_on_dataset, print_csv_format
from detectron2.utils import comm
from omegaconf import DictConfig
from torch import nn

from ..building import build_detector
from ..checkpoint import FCOSCheckpointer
from ..data.loader import start_at
from ..data.workers import follow_parent
from ..evaluation.classes import check_test_classes, evaluate_by_name
from ..evaluation.coco import FastCOCOEvaluator
from ..evaluation.coco_limits import detections_limit
from ..evaluation.metrics import build_evaluator, check_metric
from ..evaluation.views import ViewSettings
from ..modeling.backbone import weights_come_later
from .best import EarlyStop
from .distributed import wrap_distributed
from .ema import WeightAverage
from .example_images import example_images
from .hooks import RunHooks
from .idle_levels import warn_of_idle_levels
from .loggers import build_writers, flat_settings
from .optimizer import clip_each_parameter
from .step import StepTrainer, unwrapped
from .trainable import choose_what_learns
from .trainer import check_class_count, class_names, prepare_for_training, say_if_finished

logger = logging.getLogger(__name__)


def build_lazy_model(cfg: DictConfig) -> nn.Module:
    """cfg.model, on the device of cfg.train."""
    return prepare_for_training(build_detector(cfg))


def evaluate(cfg: DictConfig, model: nn.Module, class_names: list[str] | None = None) -> dict:
    """Runs cfg.dataloader.test through cfg.dataloader.evaluator.

    Args:
        cfg: as for `train`; cfg.dataloader.test.dataset.names may be several.
        model: a detector.
        class_names: of the model, see `Trainer.test`.

    Returns:
        The results by task and metric, of several datasets under their names; {} where there is no
        dataset.
    """
    results = {}
    for name in test_datasets(cfg):
        dataloader = copy.deepcopy(cfg.dataloader)
        dataloader.test.dataset.names = name
        dataloader.evaluator.output_dir = os.path.join(cfg.train.output_dir, "inference")
        views, mapper = ViewSettings.from_lazy(cfg), instantiate(dataloader.test.mapper)
        loader = instantiate({**dataloader.test, "mapper": views.loader_mapper(mapper)})
        loader.worker_init_fn = follow_parent
        evaluator = instantiate(dataloader.evaluator)
        if isinstance(evaluator, FastCOCOEvaluator):
            evaluator.model_limit = detections_limit(model)
        evaluator = evaluate_by_name(evaluator, name, class_names)
        results[name] = inference_on_dataset(views.wrap(model, mapper), loader, evaluator)
        print_csv_format(results[name] or {})
    return results if len(results) != 1 else results.popitem()[1]


def test_datasets(cfg: DictConfig) -> list[str]:
    """The names in cfg.dataloader.test: none, one or several."""
    names = cfg.dataloader.test.dataset.names
    return [names] if isinstance(names, str) else list(names)


def train(cfg: DictConfig, resume: bool = False, trust_checkpoint: str | None = None) -> dict:
    """Trains as `cfg` says, with the hooks of the yaml trainer.

    Args:
        cfg: model, optimizer, lr_multiplier, dataloader and train, as in configs/lazy/common.
        resume: go on from the last checkpoint in cfg.train.output_dir.
        trust_checkpoint: the one file that may run code, see `FCOSCheckpointer`.

    Returns:
        The results of the last evaluation.
    """
    resumes = resume and os.path.isfile(os.path.join(cfg.train.output_dir, "last_checkpoint"))
    with weights_come_later(resumes or bool(cfg.train.init_checkpoint)):
        model = build_lazy_model(cfg)
    choose_what_learns(model, from_scratch=not cfg.train.init_checkpoint)
    cfg.optimizer.params.model = model
    cfg.optimizer.params.pop("train", None)  # all of it is obeyed here
    each = cfg.train.clip_each_parameter
    optimizer = clip_each_parameter(instantiate(cfg.optimizer), each.type, each.value)
    cfg.dataloader.train.accumulate_steps = cfg.train.accumulate_steps
    average = WeightAverage(model, cfg.train.ema.decay) if cfg.train.ema.enabled else None
    tested = average.model if average else model
    data_loader = instantiate(cfg.dataloader.train)
    if comm.is_main_process():
        warn_of_idle_levels(model, data_loader)
    model = wrap_distributed(model, **cfg.train.ddp)
    trainer = StepTrainer(
        model,
        data_loader,
        optimizer,
        accumulate_steps=cfg.train.accumulate_steps,
        precision=cfg.train.amp.precision if cfg.train.amp.enabled else None,
        max_grad_norm=cfg.train.max_grad_norm,
    )
    check_class_count(cfg.dataloader.train.dataset.names, unwrapped(model))
    classes, test_names = class_names(cfg.dataloader.train.dataset.names), test_datasets(cfg)
    check_test_classes(classes, test_names)
    if cfg.dataloader.evaluator._target_ is build_evaluator:
        check_metric(cfg.train.best_metric, test_names)
    checkpointer = FCOSCheckpointer(
        model,
        cfg.train.output_dir,
        class_names=classes,
        trust_checkpoint=trust_checkpoint,
        averaged_model=average.model if average else None,
        trainer=trainer,
    )
    results = {}

    def evaluate_and_keep() -> dict:
        results.update(evaluate(cfg, tested, classes))
        return results

    trainer.register_hooks(
        RunHooks(
            step=trainer,
            scheduler=instantiate(cfg.lr_multiplier),
            checkpointer=checkpointer,
            average=average,
            evaluate=evaluate_and_keep,
            build_writers=partial(
                build_writers,
                cfg.train.output_dir,
                cfg.train.max_iter,
                backends=cfg.train.logging.backends,
                project=cfg.train.logging.project,
                run_name=cfg.train.logging.run_name,
                config=flat_settings(cfg.train),
            ),
            checkpoint_period=cfg.train.checkpointer.period,
            max_to_keep=cfg.train.checkpointer.max_to_keep,
            eval_period=cfg.train.eval_period,
            best_metric=cfg.train.best_metric,
            patience=cfg.train.early_stop_patience,
            stall_minutes=cfg.train.stall_minutes,
            log_period=cfg.train.log_period,
            after_evaluation=example_images(
                tested,
                test_names,
                instantiate(cfg.dataloader.test.mapper),
                cfg.dataloader.test.mapper.image_format,
                cfg.train.logging.images,
                cfg.train.eval_period,
                classes,
            ),
        ).build()
    )
    checkpointer.resume_or_load(cfg.train.init_checkpoint, resume=resume)
    resumed = resume and checkpointer.has_checkpoint()
    start = trainer.iter + 1 if resumed else 0
    start_at(trainer.data_loader, start)
    say_if_finished(start, cfg.train.max_iter, checkpointer)
    with suppress(EarlyStop):
        trainer.train(start, cfg.train.max_iter)
    return results
