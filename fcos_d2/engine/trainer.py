"""Training and evaluation from a yaml config."""

import logging
import os
import weakref
from contextlib import suppress

import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog, build_detection_test_loader
from detectron2.engine import DefaultTrainer, HookBase, TrainerBase
from detectron2.engine.hooks import PreciseBN
from detectron2.evaluation import DatasetEvaluator
from detectron2.solver import LRMultiplier
from detectron2.utils import comm
from detectron2.utils.events import EventWriter
from fvcore.nn.precise_bn import get_bn_modules
from torch import nn
from torch.utils.data import DataLoader

from ..building import building
from ..checkpoint import FCOSCheckpointer
from ..data.loader import build_training_loader, start_at
from ..data.mapper import FCOSDatasetMapper
from ..data.workers import follow_parent
from ..datasets.training_set import training_records
from ..evaluation.classes import check_test_classes, evaluate_by_name
from ..evaluation.metrics import build_evaluator, check_metric
from ..evaluation.views import ViewSettings
from ..modeling.backbone import weights_come_later
from .best import EarlyStop
from .distributed import adapt_sync_batchnorm, wrap_distributed
from .ema import WeightAverage
from .example_images import example_images
from .hooks import RunHooks
from .idle_levels import warn_of_idle_levels
from .loggers import build_writers, flat_settings
from .optimizer import build_lr_scheduler, build_optimizer, full_model_clip_value
from .step import StepTrainer, unwrapped
from .trainable import choose_what_learns

logger = logging.getLogger(__name__)


class Trainer(DefaultTrainer):
    """detectron2's DefaultTrainer, with our loader, optimisers, steps, checkpoints and hooks."""

    def __init__(self, cfg: CfgNode, trust_checkpoint: str | None = None) -> None:
        """
        Args:
            cfg: the whole config; MODEL.DEVICE exists on this machine.
            trust_checkpoint: the one file that may run code, see `FCOSCheckpointer`.
        """
        # DefaultTrainer's constructor can only wrap models on CUDA devices, so it is not called.
        TrainerBase.__init__(self)
        model = self.build_model(cfg)
        choose_what_learns(model, from_scratch=not cfg.MODEL.WEIGHTS)
        optimizer = self.build_optimizer(cfg, model)
        data_loader = self.build_train_loader(cfg)
        if comm.is_main_process():
            warn_of_idle_levels(model, data_loader)
        ema = cfg.SOLVER.EMA
        self.average = WeightAverage(model, ema.DECAY) if ema.ENABLED else None
        model = wrap_distributed(model, broadcast_buffers=False)
        self._trainer = StepTrainer(
            model,
            data_loader,
            optimizer,
            accumulate_steps=cfg.SOLVER.ACCUMULATE_STEPS,
            precision=cfg.SOLVER.AMP.PRECISION if cfg.SOLVER.AMP.ENABLED else None,
            max_grad_norm=full_model_clip_value(cfg),
        )
        check_class_count(cfg.DATASETS.TRAIN, unwrapped(model))
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        self.class_names = class_names(cfg.DATASETS.TRAIN)
        check_test_classes(self.class_names, cfg.DATASETS.TEST)
        if type(self).build_evaluator.__func__ is Trainer.build_evaluator.__func__:
            check_metric(cfg.TEST.BEST_METRIC, cfg.DATASETS.TEST)
        self.checkpointer = FCOSCheckpointer(
            model,
            cfg.OUTPUT_DIR,
            class_names=self.class_names,
            trust_checkpoint=trust_checkpoint,
            averaged_model=self.average.model if self.average else None,
            trainer=weakref.proxy(self),
        )
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.cfg = cfg
        self._last_eval_results = {}
        self.register_hooks(self.build_hooks())

    def resume_or_load(self, resume: bool = True) -> None:
        """The last checkpoint with `resume`, else MODEL.WEIGHTS."""
        super().resume_or_load(resume)
        start_at(self._trainer.data_loader, self.start_iter)

    def build_hooks(self) -> list[HookBase]:
        cfg = self.cfg
        tested = self.average.model if self.average else self.model

        def evaluate() -> dict:
            self._last_eval_results = self.test(cfg, tested, class_names=self.class_names)
            return self._last_eval_results

        precise_bn = cfg.TEST.PRECISE_BN
        use_precise_bn = precise_bn.ENABLED and get_bn_modules(tested)
        return RunHooks(
            step=self._trainer,
            scheduler=self.scheduler,
            checkpointer=self.checkpointer,
            average=self.average,
            evaluate=evaluate,
            build_writers=self.build_writers,
            checkpoint_period=cfg.SOLVER.CHECKPOINT_PERIOD,
            eval_period=cfg.TEST.EVAL_PERIOD,
            best_metric=cfg.TEST.BEST_METRIC,
            patience=cfg.TEST.EARLY_STOP_PATIENCE,
            stall_minutes=cfg.SOLVER.STALL_MINUTES,
            before_evaluation=[
                # The mean of the weights has other statistics than the weights in training. A
                # loader of its own, so that training keeps its order.
                PreciseBN(
                    cfg.TEST.EVAL_PERIOD,
                    tested,
                    self.build_train_loader(cfg),
                    precise_bn.NUM_ITER,
                )
            ]
            if use_precise_bn
            else [],
            after_evaluation=example_images(
                tested,
                cfg.DATASETS.TEST,
                FCOSDatasetMapper(cfg, is_train=False),
                cfg.INPUT.FORMAT,
                cfg.LOGGING.IMAGES,
                cfg.TEST.EVAL_PERIOD,
                self.class_names,
            ),
        ).build()

    def build_writers(self) -> list[EventWriter]:
        cfg = self.cfg
        return build_writers(
            cfg.OUTPUT_DIR,
            self.max_iter,
            backends=cfg.LOGGING.BACKENDS,
            project=cfg.LOGGING.PROJECT,
            run_name=cfg.LOGGING.RUN_NAME,
            config=flat_settings(cfg),
        )

    def train(self) -> dict:
        """Trains to the end, or until it gets no better; results of the last evaluation."""
        say_if_finished(self.start_iter, self.max_iter, self.checkpointer)
        with suppress(EarlyStop):
            super().train()
        return self._last_eval_results

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        with building(cfg), weights_come_later(bool(cfg.MODEL.WEIGHTS)):
            return prepare_for_training(super().build_model(cfg))

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        return build_optimizer(cfg, model)

    @classmethod
    def build_lr_scheduler(cls, cfg: CfgNode, optimizer: torch.optim.Optimizer) -> LRMultiplier:
        return build_lr_scheduler(cfg, optimizer)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> DataLoader:
        mapper = FCOSDatasetMapper(cfg, is_train=True)
        return build_training_loader(
            cfg,
            mapper=mapper,
            dataset=training_records(cfg),
            accumulate_steps=cfg.SOLVER.ACCUMULATE_STEPS,
        )

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> DataLoader:
        mapper = ViewSettings.from_config(cfg).loader_mapper(FCOSDatasetMapper(cfg, is_train=False))
        loader = build_detection_test_loader(cfg, dataset_name, mapper=mapper)
        loader.worker_init_fn = follow_parent
        return loader

    @classmethod
    def test(
        cls,
        cfg: CfgNode,
        model: nn.Module,
        evaluators: list[DatasetEvaluator] | None = None,
        class_names: list[str] | None = None,
    ) -> dict:
        """detectron2's evaluation; in slices and with test-time augmentation if `cfg` says so.

        Args:
            cfg, model, evaluators: as in detectron2.
            class_names: of the model, which are matched with those of the datasets by name; None:
                they are those of the datasets, in their order.
        """
        if evaluators is None:
            evaluators = [
                evaluate_by_name(cls.build_evaluator(cfg, name), name, class_names)
                for name in cfg.DATASETS.TEST
            ]
        mapper = FCOSDatasetMapper(cfg, is_train=False)
        return super().test(cfg, ViewSettings.from_config(cfg).wrap(model, mapper), evaluators)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        two_stage = cfg.MODEL.FCOS.YIELD_PROPOSAL
        limit = cfg.TEST.DETECTIONS_PER_IMAGE if two_stage else cfg.MODEL.FCOS.POST_NMS_TOPK_TEST
        return build_evaluator(
            dataset_name,
            os.path.join(cfg.OUTPUT_DIR, "inference"),
            max_dets_per_image=cfg.TEST.COCO_MAX_DETECTIONS,
            model_limit=limit if limit > 0 else None,
        )


def say_if_finished(start_iter: int, max_iter: int, checkpointer: FCOSCheckpointer) -> None:
    """Says so where a resumed run has nothing left to do; a lost model_final is written then."""
    if 0 < max_iter <= start_iter:
        final = os.path.join(checkpointer.save_dir, "model_final.pth")
        if start_iter == max_iter and not os.path.isfile(final):
            checkpointer.save("model_final", iteration=start_iter - 1)
        logger.warning(
            "already finished: the checkpoint has %d iterations, and SOLVER.MAX_ITER "
            "(train.max_iter) is %d; a larger one goes on",
            *(start_iter, max_iter),
        )


def prepare_for_training(model: nn.Module) -> nn.Module:
    """The model with norms and memory layout that suit this machine and these processes."""
    # Convolutions run faster on it (a training step on a CPU 1.1 times), with the same results.
    return adapt_sync_batchnorm(model).to(memory_format=torch.channels_last)


def class_names(dataset_names: str | list[str]) -> list[str] | None:
    """The class names of the dataset, or the first of several; None where there are none."""
    if not dataset_names:
        return None
    if isinstance(dataset_names, str):
        dataset_names = [dataset_names]
    return MetadataCatalog.get(dataset_names[0]).get("thing_classes")


def check_class_count(dataset_names: str | list[str], model: nn.Module) -> None:
    """Holds the classes of a model against those of its training data, once these are loaded.

    Args:
        dataset_names: of the training data.
        model: a detector, with one or two stages.

    Raises:
        ValueError: the data have classes that the model has no output for. Outputs without a class
            are warned of.
    """
    names = class_names(dataset_names)
    two_stages = hasattr(model, "roi_heads")
    part = model.roi_heads if two_stages else getattr(model, "proposal_generator", None)
    found = getattr(part, "num_classes", None)
    if not names or found is None or found == len(names):
        return
    yaml_key = f"MODEL.{'ROI_HEADS' if two_stages else 'FCOS'}.NUM_CLASSES"
    lazy_key = f"model.{'roi_heads' if two_stages else 'proposal_generator.head'}.num_classes"
    message = (
        f"the model has {found} classes ({yaml_key}, {lazy_key}), the training data "
        f"{dataset_names} have {len(names)}"
    )
    if found < len(names):
        raise ValueError(f"{message}: set it to {len(names)}")
    logger.warning("%s: %d outputs never learn an object", message, found - len(names))
