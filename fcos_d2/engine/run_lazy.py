"""A run from a LazyConfig; of detectron2's own ones, what is needed to detect."""

import copy
import logging
import os
from collections.abc import Callable
from functools import partial

from detectron2.config import LazyConfig, instantiate
from detectron2.evaluation import DatasetEvaluator
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from ..data.mapper import FCOSDatasetMapper
from ..data.mixing import ImageMixing
from ..evaluation.metrics import build_evaluator
from ..evaluation.views import ViewOptions
from ..model_errors import building
from ..modeling import FCOS, TimmBackbone
from .loggers import flat_settings
from .optimizer import clip_each_parameter
from .run_parts import Changes, Logging, Run, Training

logger = logging.getLogger(__name__)


def run_from_lazy(cfg: DictConfig) -> Run:
    """The run that a config describes; it follows later changes of the config in what it builds.

    Args:
        cfg: model, dataloader and train as in configs/lazy/common, to train also optimizer and
            lr_multiplier. What belongs to training may be absent where nothing is trained.
    """
    train = cfg.train
    last_stage = "roi_heads" if "roi_heads" in cfg.model else "proposal_generator.head"
    return Run(
        kind="lazy",
        config=cfg,
        output_dir=train.output_dir,
        device=train.get("device", "cuda"),
        weights=train.init_checkpoint,
        seed=train.get("seed", -1),
        cudnn_benchmark=train.get("cudnn_benchmark", False),
        train_datasets=_names(cfg, "train"),
        test_datasets=_names(cfg, "test"),
        image_format=cfg.dataloader.test.mapper.image_format,
        num_classes_key=f"model.{last_stage}.num_classes",
        use_of_masks=partial(_use_of_masks, cfg),
        view_options=_view_options(train),
        score_thresh=_plain(train.get("score_thresh")),
        training=partial(_training, cfg),
        make_model=partial(_model, cfg),
        make_optimizer=partial(_optimizer, cfg),
        make_scheduler=lambda optimizer: instantiate(cfg.lr_multiplier),
        make_train_mapper=lambda: instantiate(cfg.dataloader.train.mapper),
        make_train_loader=partial(_train_loader, cfg),
        make_test_mapper=lambda: instantiate(cfg.dataloader.test.mapper),
        make_test_loader=partial(_test_loader, cfg),
        make_evaluator=partial(_evaluator, cfg),
        finish=partial(_finish, cfg),
        save_config=partial(LazyConfig.save, cfg),
    )


def _is(part: DictConfig, target: Callable) -> bool:
    """Whether a part is made by `target`, or by its name as in the config.yaml of a run."""
    return part.get("_target_") in (target, f"{target.__module__}.{target.__qualname__}")


def _plain(value: object) -> object:
    """Lists and dicts instead of OmegaConf's."""
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _names(cfg: DictConfig, split: str) -> tuple[str, ...]:
    """The datasets of a loader: none, one or several."""
    names = OmegaConf.select(cfg, f"dataloader.{split}.dataset.names") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _use_of_masks(cfg: DictConfig) -> str:
    mapper = cfg.dataloader.train.mapper
    if mapper.get("use_instance_mask", False):
        return "required"
    pasted = (mapper.get("mixing") or {}).get("copy_paste_prob", 0) > 0
    return "optional" if pasted else "unused"


def _view_options(train: DictConfig) -> ViewOptions:
    """detectron2's own configs say nothing of views."""
    part, aug = train.get("slice", {}), train.get("tta", {})
    given = {
        "slice_size": part.get("size"),
        "slice_overlap": part.get("overlap"),
        "full_image": part.get("full_image"),
        "tta": aug.get("enabled"),
        "tta_sizes": tuple(aug.get("min_sizes", ())),
        "tta_max_size": aug.get("max_size"),
        "tta_flip": aug.get("flip"),
    }
    return ViewOptions(**{name: value for name, value in given.items() if value is not None})


def _training(cfg: DictConfig) -> Training:
    train = cfg.train
    return Training(
        max_iter=train.max_iter,
        total_batch_size=cfg.dataloader.train.total_batch_size,
        budget=train.get("budget", 0.0),
        accumulate_steps=train.accumulate_steps,
        precision=train.amp.precision if train.amp.enabled else None,
        max_grad_norm=train.max_grad_norm,
        ema_decay=train.ema.decay if train.ema.enabled else None,
        fixed_statistics_share=train.get("fixed_statistics_share", 0.0),
        ddp=dict(train.ddp),
        checkpoint_period=train.checkpointer.period,
        max_to_keep=train.checkpointer.max_to_keep,
        log_period=train.log_period,
        eval_period=train.eval_period,
        validation_loss=train.get("validation_loss", False),
        evaluate_raw=train.ema.get("evaluate_raw", False),
        best_metric=train.best_metric,
        own_evaluator=not _is(cfg.dataloader.evaluator, build_evaluator),
        patience=train.early_stop_patience,
        stall_minutes=train.stall_minutes,
        logging=Logging(
            backends=train.logging.backends,
            project=train.logging.project,
            run_name=train.logging.run_name,
            images=train.logging.images,
            settings=partial(flat_settings, train),
        ),
    )


def _model(cfg: DictConfig, device: str) -> nn.Module:
    """cfg.model with the channel order of the images; warns where timm's weights want another."""
    with building():
        image_format = cfg.dataloader.test.mapper.image_format
        model_cfg = cfg.model
        if _is(model_cfg, FCOS) and "input_format" not in model_cfg:
            model_cfg = {**model_cfg, "input_format": image_format}
        model = instantiate(model_cfg)
        for body in model.modules():
            if isinstance(body, TimmBackbone) and body.statistics is not None:
                settings = model.pixel_mean.flatten(), model.pixel_std.flatten(), image_format
                for line in body.statistics.differences(*settings):
                    logger.warning("%s", line)
        return model.to(device)


def _optimizer(cfg: DictConfig, model: nn.Module) -> Optimizer:
    # All of `train` is obeyed here.
    params = {name: value for name, value in cfg.optimizer.params.items() if name != "train"}
    each = cfg.train.clip_each_parameter
    optimizer = instantiate({**cfg.optimizer, "params": {**params, "model": model}})
    return clip_each_parameter(optimizer, each.type, each.value)


def _train_loader(cfg: DictConfig) -> DataLoader:
    steps = cfg.train.accumulate_steps
    return instantiate({**cfg.dataloader.train, "accumulate_steps": steps})


def _test_loader(cfg: DictConfig, dataset_name: str, mapper: Callable[[dict], dict]) -> DataLoader:
    dataloader = copy.deepcopy(cfg.dataloader)
    dataloader.test.dataset.names = dataset_name
    return instantiate({**dataloader.test, "mapper": mapper})


def _evaluator(cfg: DictConfig, dataset_name: str) -> DatasetEvaluator:
    dataloader = copy.deepcopy(cfg.dataloader)
    dataloader.test.dataset.names = dataset_name  # which the evaluator may refer to
    dataloader.evaluator.output_dir = os.path.join(cfg.train.output_dir, "inference")
    return instantiate(dataloader.evaluator)


def _finish(cfg: DictConfig, changes: Changes) -> Run:
    cfg = copy.deepcopy(cfg)
    if (num_classes := changes.num_classes) is not None:
        head = cfg.model.proposal_generator.head
        if "roi_heads" in cfg.model:
            cfg.model.roi_heads.num_classes = num_classes
        # A first stage with 1 tells objects from background.
        if "roi_heads" not in cfg.model or head.num_classes > 1:
            head.num_classes = num_classes
    for split, names in (("train", changes.train_datasets), ("test", changes.test_datasets)):
        if names is not None:
            cfg.dataloader[split].dataset.names = names[0] if len(names) == 1 else list(names)
    mapper = cfg.dataloader.train.mapper
    if _is(mapper, FCOSDatasetMapper):
        mapper.unreadable_list = os.path.join(cfg.train.output_dir, "unreadable_images.txt")
        mixing = mapper.get("mixing")
        if mixing is not None and _is(mixing, ImageMixing):
            mixing.setdefault("max_iter", "${train.max_iter}")
    if changes.batch_factor is not None:
        scale_lazy(cfg, changes.batch_factor, changes.given)
    if changes.eval_by_progress:
        cfg.train.eval_period = 0
    if changes.device is not None:
        cfg.train.device = changes.device
    return run_from_lazy(cfg)


def scale_lazy(cfg: DictConfig, factor: float, given: tuple[str, ...] = ()) -> None:
    """As `scale_yaml`; lr_multiplier counts in shares of the run and needs no change."""
    keys = [opt.split("=", 1)[0] for opt in given]
    changes = []
    if "optimizer.lr" not in keys:
        changes.append(f"lr {cfg.optimizer.lr:.4g} -> {cfg.optimizer.lr * factor:.4g}")
        cfg.optimizer.lr *= factor
    for key in ("max_iter", "eval_period", "checkpointer.period"):
        if f"train.{key}" in keys:
            continue
        section = cfg.train.checkpointer if key == "checkpointer.period" else cfg.train
        name = key.split(".")[-1]
        old, section[name] = section[name], round(section[name] / factor)
        changes.append(f"{key} {old} -> {section[name]}")
    mapper = cfg.dataloader.train.mapper
    if "close_at_iteration" in mapper.get("mixing", {}):
        mapper.mixing.close_at_iteration = round(mapper.mixing.close_at_iteration / factor)
    batch = cfg.dataloader.train.total_batch_size
    logger.info("scaled to a batch of %d: %s", batch, ", ".join(changes))
