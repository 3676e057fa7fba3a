"""A run from a yaml config."""

import difflib
import logging
import os
from collections.abc import Callable
from functools import partial, reduce
from operator import getitem

from detectron2.config import CfgNode
from detectron2.data import build_detection_test_loader
from detectron2.evaluation import DatasetEvaluator
from detectron2.modeling import (
    BACKBONE_REGISTRY,
    META_ARCH_REGISTRY,
    PROPOSAL_GENERATOR_REGISTRY,
    build_model,
)
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY
from torch import nn
from torch.utils.data import DataLoader

from fcos_deploy.writing import write_text

from ..data.loader import build_training_loader
from ..data.mapper import FCOSDatasetMapper
from ..datasets.catalogue import check_datasets
from ..datasets.training_set import training_records
from ..evaluation.metrics import build_evaluator
from ..evaluation.views import ViewOptions
from ..model_errors import building
from .loggers import flat_settings
from .optimizer import build_lr_scheduler, build_optimizer, full_model_clip_value
from .run_parts import Changes, Logging, Run, Training

logger = logging.getLogger(__name__)

# What grows when the batch shrinks: the same number of images, in more iterations.
_SCHEDULE = (
    "SOLVER.MAX_ITER",
    "SOLVER.WARMUP_ITERS",
    "SOLVER.STEPS",
    "SOLVER.CHECKPOINT_PERIOD",
    "TEST.EVAL_PERIOD",
    "INPUT.MIX.CLOSE_ITERS",
)


def is_yaml(config: object) -> bool:
    """Whether it is a config of this kind."""
    return isinstance(config, CfgNode)


def run_from_yaml(cfg: CfgNode) -> Run:
    """The run that a config describes; it follows later changes of the config in what it builds."""
    return Run(
        kind="yaml",
        config=cfg,
        output_dir=cfg.OUTPUT_DIR,
        device=cfg.MODEL.DEVICE,
        weights=cfg.MODEL.WEIGHTS,
        seed=cfg.SEED,
        cudnn_benchmark=cfg.CUDNN_BENCHMARK,
        train_datasets=tuple(cfg.DATASETS.TRAIN),
        test_datasets=tuple(cfg.DATASETS.TEST),
        image_format=cfg.INPUT.FORMAT,
        num_classes_key=f"MODEL.{_last_stage(cfg)}.NUM_CLASSES",
        use_of_masks=partial(_use_of_masks, cfg),
        view_options=_view_options(cfg),
        score_thresh=cfg.TEST.SCORE_THRESH,
        training=partial(_training, cfg),
        make_model=partial(_model, cfg),
        make_optimizer=partial(build_optimizer, cfg),
        make_scheduler=partial(build_lr_scheduler, cfg),
        make_train_mapper=partial(FCOSDatasetMapper, cfg, is_train=True),
        make_train_loader=partial(_train_loader, cfg),
        make_test_mapper=partial(FCOSDatasetMapper, cfg, is_train=False),
        make_test_loader=partial(_test_loader, cfg),
        make_evaluator=partial(_evaluator, cfg),
        finish=partial(_finish, cfg),
        save_config=lambda path: write_text(path, cfg.dump()),
        own_data=_own_data(cfg),
    )


def _last_stage(cfg: CfgNode) -> str:
    """The section of what gives the classes: FCOS, or the second stage after it."""
    return "ROI_HEADS" if cfg.MODEL.FCOS.YIELD_PROPOSAL else "FCOS"


def _own_data(cfg: CfgNode) -> dict[str, str]:
    own = cfg.DATASETS.OWN
    if not (own.FOLDER or own.TRAIN_DATA):
        return {}
    return {key.lower(): value for key in own if (value := getattr(own, key))}


def _use_of_masks(cfg: CfgNode) -> str:
    if cfg.MODEL.MASK_ON:
        return "required"
    return "optional" if cfg.INPUT.MIX.COPY_PASTE_PROB > 0 else "unused"


def _view_options(cfg: CfgNode) -> ViewOptions:
    test = cfg.TEST
    return ViewOptions(
        slice_size=test.SLICE.SIZE,
        slice_overlap=test.SLICE.OVERLAP,
        full_image=test.SLICE.FULL_IMAGE,
        tta=test.AUG.ENABLED,
        tta_sizes=tuple(test.AUG.MIN_SIZES),
        tta_max_size=test.AUG.MAX_SIZE,
        tta_flip=test.AUG.FLIP,
    )


def _training(cfg: CfgNode) -> Training:
    solver, test = cfg.SOLVER, cfg.TEST
    return Training(
        max_iter=solver.MAX_ITER,
        total_batch_size=solver.IMS_PER_BATCH,
        budget=solver.BUDGET,
        accumulate_steps=solver.ACCUMULATE_STEPS,
        precision=solver.AMP.PRECISION if solver.AMP.ENABLED else None,
        max_grad_norm=full_model_clip_value(cfg),
        ema_decay=solver.EMA.DECAY if solver.EMA.ENABLED else None,
        fixed_statistics_share=solver.FIXED_STATISTICS_SHARE,
        checkpoint_period=solver.CHECKPOINT_PERIOD,
        eval_period=test.EVAL_PERIOD,
        precise_bn_iters=test.PRECISE_BN.NUM_ITER if test.PRECISE_BN.ENABLED else 0,
        validation_loss=test.LOSS,
        evaluate_raw=solver.EMA.EVALUATE_RAW,
        best_metric=test.BEST_METRIC,
        patience=test.EARLY_STOP_PATIENCE,
        stall_minutes=solver.STALL_MINUTES,
        logging=Logging(
            backends=cfg.LOGGING.BACKENDS,
            project=cfg.LOGGING.PROJECT,
            run_name=cfg.LOGGING.RUN_NAME,
            images=cfg.LOGGING.IMAGES,
            settings=partial(flat_settings, cfg),
        ),
        expected_results=tuple(test.EXPECTED_RESULTS),
    )


def _model(cfg: CfgNode, device: str) -> nn.Module:
    _check_names(cfg)
    if device != cfg.MODEL.DEVICE:
        cfg = cfg.clone()
        cfg.defrost()
        cfg.MODEL.DEVICE = device
    with building():
        return build_model(cfg)


def _check_names(cfg: CfgNode) -> None:
    """Raises ValueError for a part that nobody has registered."""
    model = cfg.MODEL
    named = [
        ("META_ARCHITECTURE", model.META_ARCHITECTURE, META_ARCH_REGISTRY),
        ("BACKBONE.NAME", model.BACKBONE.NAME, BACKBONE_REGISTRY),
        ("PROPOSAL_GENERATOR.NAME", model.PROPOSAL_GENERATOR.NAME, PROPOSAL_GENERATOR_REGISTRY),
    ]
    if model.META_ARCHITECTURE == "GeneralizedRCNN":  # others do without
        named.append(("ROI_HEADS.NAME", model.ROI_HEADS.NAME, ROI_HEADS_REGISTRY))
    for key, name, registry in named:
        known = [known for known, _ in registry]
        if name in known or (key == "PROPOSAL_GENERATOR.NAME" and name == "PrecomputedProposals"):
            continue
        close = difflib.get_close_matches(str(name), known, n=3)
        raise ValueError(
            f"MODEL.{key} {name!r} is not registered; near it are {', '.join(close) or 'none'}"
        )


def _train_loader(cfg: CfgNode) -> DataLoader:
    mapper = FCOSDatasetMapper(cfg, is_train=True)
    return build_training_loader(
        cfg,
        mapper=mapper,
        dataset=training_records(cfg),
        accumulate_steps=cfg.SOLVER.ACCUMULATE_STEPS,
    )


def _test_loader(cfg: CfgNode, dataset_name: str, mapper: Callable[[dict], dict]) -> DataLoader:
    return build_detection_test_loader(cfg, dataset_name, mapper=mapper)


def _evaluator(cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
    return build_evaluator(
        dataset_name,
        os.path.join(cfg.OUTPUT_DIR, "inference"),
        max_dets_per_image=cfg.TEST.COCO_MAX_DETECTIONS,
    )


def _finish(cfg: CfgNode, changes: Changes) -> Run:
    """Raises ValueError for datasets that are not there."""
    cfg = cfg.clone()
    cfg.defrost()
    if (num_classes := changes.num_classes) is not None:
        cfg.MODEL[_last_stage(cfg)].NUM_CLASSES = num_classes
        if cfg.MODEL.FCOS.NUM_CLASSES > 1:  # a first stage with 1 tells objects from background
            cfg.MODEL.FCOS.NUM_CLASSES = num_classes
    if changes.train_datasets is not None:
        cfg.DATASETS.TRAIN = changes.train_datasets
    if changes.test_datasets is not None:
        cfg.DATASETS.TEST = changes.test_datasets
    if changes.batch_factor is not None:
        scale_yaml(cfg, changes.batch_factor, changes.given)
    if changes.eval_by_progress:
        cfg.TEST.EVAL_PERIOD = 0
    if changes.device is not None:
        cfg.MODEL.DEVICE = changes.device
    cfg.freeze()
    check_datasets([*(cfg.DATASETS.TRAIN if changes.trains else ()), *cfg.DATASETS.TEST])
    return run_from_yaml(cfg)


def scale_yaml(cfg: CfgNode, factor: float, given: tuple[str, ...] = ()) -> None:
    """Scales learning rate and schedule to another batch size, in place.

    Args:
        cfg: unfrozen.
        factor: real batch over the batch of the recipe. The learning rate is multiplied, the
            iterations are divided by it.
        given: overrides of the user; keys among them keep their values.

    Source: the linear scaling rule of arXiv 1706.02677, section 2.1.
    """
    solver = cfg.SOLVER
    changes = []
    if "SOLVER.BASE_LR" not in given:
        changes.append(f"BASE_LR {solver.BASE_LR:.4g} -> {solver.BASE_LR * factor:.4g}")
        solver.BASE_LR *= factor
    for key in _SCHEDULE:
        if key in given:
            continue
        *sections, name = key.split(".")
        section = reduce(getitem, sections, cfg)
        old = section[name]
        is_list = isinstance(old, (list, tuple))
        new = tuple(round(x / factor) for x in old) if is_list else round(old / factor)
        section[name] = new
        changes.append(f"{name} {old} -> {new}")
    logger.info("scaled to a batch of %d: %s", solver.IMS_PER_BATCH, ", ".join(changes))
