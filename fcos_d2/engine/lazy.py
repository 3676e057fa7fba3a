"""Training and evaluation from a LazyConfig."""

import os

from detectron2.config import instantiate
from detectron2.engine import AMPTrainer, SimpleTrainer, default_writers, hooks
from detectron2.evaluation import inference_on_dataset, print_csv_format
from detectron2.utils import comm
from omegaconf import DictConfig
from torch import nn

from ..checkpoint import FCOSCheckpointer
from ..evaluation.views import ViewSettings
from .distributed import wrap_distributed
from .divergence import DivergenceGuard
from .trainer import class_names, prepare_for_training


def build_lazy_model(cfg: DictConfig) -> nn.Module:
    """cfg.model, on the device of cfg.train."""
    return prepare_for_training(instantiate(cfg.model).to(cfg.train.device))


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
    optimizer = instantiate(cfg.optimizer)
    model = wrap_distributed(model, **cfg.train.ddp)
    trainer_class = AMPTrainer if cfg.train.amp.enabled else SimpleTrainer
    trainer = trainer_class(model, instantiate(cfg.dataloader.train), optimizer)
    checkpointer = FCOSCheckpointer(
        model,
        cfg.train.output_dir,
        class_names=class_names(cfg.dataloader.train.dataset.names),
        trust_checkpoint=trust_checkpoint,
        trainer=trainer,
    )
    results = {}

    def evaluate_and_keep() -> dict:
        results.update(evaluate(cfg, model))
        return results

    trainer.register_hooks(
        [
            DivergenceGuard(model, optimizer, checkpointer, cfg.train.max_grad_norm),
            hooks.IterationTimer(),
            hooks.LRScheduler(scheduler=instantiate(cfg.lr_multiplier)),
            hooks.PeriodicCheckpointer(checkpointer, **cfg.train.checkpointer)
            if comm.is_main_process()
            else None,
            hooks.EvalHook(cfg.train.eval_period, evaluate_and_keep),
            hooks.PeriodicWriter(
                default_writers(cfg.train.output_dir, cfg.train.max_iter),
                period=cfg.train.log_period,
            )
            if comm.is_main_process()
            else None,
        ]
    )
    checkpointer.resume_or_load(cfg.train.init_checkpoint, resume=resume)
    resumed = resume and checkpointer.has_checkpoint()
    trainer.train(trainer.iter + 1 if resumed else 0, cfg.train.max_iter)
    return results
