"""Training and evaluation from a LazyConfig."""

import os
from contextlib import suppress
from functools import partial

from detectron2.config import instantiate
from detectron2.evaluation import inference_on_dataset, print_csv_format
from omegaconf import DictConfig
from torch import nn

from ..building import build_detector
from ..checkpoint import FCOSCheckpointer
from ..data.loader import start_at
from ..evaluation.views import ViewSettings
from .best import EarlyStop
from .distributed import wrap_distributed
from .ema import WeightAverage
from .example_images import example_images
from .hooks import RunHooks
from .loggers import build_writers, flat_settings
from .optimizer import clip_each_parameter
from .step import StepTrainer, unwrapped
from .trainer import check_class_count, class_names, prepare_for_training


def build_lazy_model(cfg: DictConfig) -> nn.Module:
    """cfg.model, on the device of cfg.train."""
    return prepare_for_training(build_detector(cfg))


def evaluate(cfg: DictConfig, model: nn.Module) -> dict:
    """Runs cfg.dataloader.test through cfg.dataloader.evaluator; {} where there is no dataset."""
    if not cfg.dataloader.test.dataset.names:
        return {}
    cfg.dataloader.evaluator.output_dir = os.path.join(cfg.train.output_dir, "inference")
    views, mapper = ViewSettings.from_lazy(cfg), instantiate(cfg.dataloader.test.mapper)
    loader = instantiate({**cfg.dataloader.test, "mapper": views.loader_mapper(mapper)})
    results = inference_on_dataset(
        views.wrap(model, mapper), loader, instantiate(cfg.dataloader.evaluator)
    )
    print_csv_format(results)
    return results


def train(cfg: DictConfig, resume: bool = False, trust_checkpoint: bool = False) -> dict:
    """Trains as `cfg` says, with the hooks of the yaml trainer.

    Args:
        cfg: model, optimizer, lr_multiplier, dataloader and train, as in configs/lazy/common.
        resume: go on from the last checkpoint in cfg.train.output_dir.
        trust_checkpoint: also open weights that can run code, see `FCOSCheckpointer`.

    Returns:
        The results of the last evaluation.
    """
    model = build_lazy_model(cfg)
    cfg.optimizer.params.model = model
    cfg.optimizer.params.pop("train", None)  # all of it is obeyed here
    each = cfg.train.clip_each_parameter
    optimizer = clip_each_parameter(instantiate(cfg.optimizer), each.type, each.value)
    cfg.dataloader.train.accumulate_steps = cfg.train.accumulate_steps
    average = WeightAverage(model, cfg.train.ema.decay) if cfg.train.ema.enabled else None
    tested = average.model if average else model
    model = wrap_distributed(model, **cfg.train.ddp)
    trainer = StepTrainer(
        model,
        instantiate(cfg.dataloader.train),
        optimizer,
        accumulate_steps=cfg.train.accumulate_steps,
        precision=cfg.train.amp.precision if cfg.train.amp.enabled else None,
    )
    check_class_count(cfg.dataloader.train.dataset.names, unwrapped(model))
    checkpointer = FCOSCheckpointer(
        model,
        cfg.train.output_dir,
        class_names=class_names(cfg.dataloader.train.dataset.names),
        trust_checkpoint=trust_checkpoint,
        averaged_model=average.model if average else None,
        trainer=trainer,
    )
    results = {}

    def evaluate_and_keep() -> dict:
        results.update(evaluate(cfg, tested))
        return results

    trainer.register_hooks(
        RunHooks(
            model=model,
            optimizer=optimizer,
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
            max_grad_norm=cfg.train.max_grad_norm,
            checkpoint_period=cfg.train.checkpointer.period,
            max_to_keep=cfg.train.checkpointer.max_to_keep,
            eval_period=cfg.train.eval_period,
            best_metric=cfg.train.best_metric,
            patience=cfg.train.early_stop_patience,
            log_period=cfg.train.log_period,
            after_evaluation=example_images(
                tested,
                cfg.dataloader.test.dataset.names,
                instantiate(cfg.dataloader.test.mapper),
                cfg.dataloader.test.mapper.image_format,
                cfg.train.logging.images,
                cfg.train.eval_period,
            ),
        ).build()
    )
    checkpointer.resume_or_load(cfg.train.init_checkpoint, resume=resume)
    resumed = resume and checkpointer.has_checkpoint()
    start = trainer.iter + 1 if resumed else 0
    start_at(trainer.data_loader, start)
    with suppress(EarlyStop):
        trainer.train(start, cfg.train.max_iter)
    return results
