"""Training, from either kind of config."""

import inspect
import logging
import os
import sys
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from types import SimpleNamespace

import torch
from detectron2.engine import DefaultTrainer, HookBase, TrainerBase
from detectron2.evaluation import DatasetEvaluator, verify_results
from detectron2.utils import comm
from detectron2.utils.events import EventWriter
from fvcore.nn.precise_bn import get_bn_modules
from torch import nn
from torch.utils.data import DataLoader

from ..checkpoint import FCOSCheckpointer, resumable
from ..checkpoint.origins import fetched_origins
from ..data.loader import follow, start_at
from ..evaluation.classes import check_test_classes
from ..evaluation.metrics import check_metric
from ..modeling.backbone import weights_come_later
from .best import EarlyStop
from .cadence import Cadence, Every, PreciseNorms
from .class_count import check_class_count
from .clock import ClockPrinter, build_clock
from .ema import WeightAverage
from .evaluating import evaluate
from .evaluation_time import expect_evaluations
from .example_images import example_images
from .hooks import RunHooks
from .idle_levels import warn_of_idle_levels
from .keys import adding_keys
from .loggers import build_writers
from .measuring import build_measuring
from .run_of import Config, run_of
from .step import StepTrainer
from .summary import say_results
from .train_log import quiet_train_loop
from .trainable import choose_what_learns
from .wrapping import prepare_for_training, unwrapped, wrap_distributed

logger = logging.getLogger(__name__)


class Trainer(DefaultTrainer):
    """detectron2's DefaultTrainer, with our loader, optimisers, steps, checkpoints and hooks.

    As there, a subclass may put other parts in the place of ours by its `build_...` methods. Their
    `cfg` is what the trainer was given: a yaml config, a LazyConfig, or a `Run`.
    """

    def __init__(
        self,
        cfg: Config,
        trust_checkpoint: str | None = None,
        resume: bool = False,
        begun: float | None = None,
        accept_noncommercial: bool = False,
    ) -> None:
        """
        Args:
            cfg: the whole config, or a run; its device exists on this machine.
            trust_checkpoint: the one file that may run code, see `FCOSCheckpointer`.
            resume: `resume_or_load` will be asked to resume: where there is a checkpoint, bodies
                fetch no weights that it would replace.
            begun: `time.monotonic()` when the command began, for a run with a budget; None: now.
            accept_noncommercial: start from weights whose licence allows no commercial use, too.
        """
        # DefaultTrainer's constructor can only wrap models on CUDA devices, so it is not called.
        TrainerBase.__init__(self)
        self.cfg = cfg
        self.run = run_of(cfg)
        self.settings = self.run.training()
        with adding_keys(self.run.kind):
            self.clock = build_clock(self.settings, self.run.output_dir, begun, resume)
            resumes = resume and bool(resumable(self.run.output_dir))
            with weights_come_later(resumes):
                model = self.build_model(cfg)
            logger.info("Model:\n%s", model)
            self._trainer = self._build_step(model)
            self.scheduler = self.build_lr_scheduler(cfg, self._trainer.optimizer)
            self._check_data()
            self.checkpointer = FCOSCheckpointer(
                self._trainer.model,
                self.run.output_dir,
                class_names=self.class_names,
                trust_checkpoint=trust_checkpoint,
                accept_noncommercial=accept_noncommercial,
                averaged_model=self.average.model if self.average else None,
                trainer=weakref.proxy(self),
            )
            self.checkpointer.keep_origins(fetched_origins(model))
            self.start_iter = 0
            # With a budget, the end is known when it comes.
            self.max_iter = self.settings.max_iter if self.clock is None else sys.maxsize
            self._last_eval_results: dict = {}
            test = partial(self.test, self.cfg, class_names=self.class_names)
            self.measuring = build_measuring(self.run, test, self.model, self.average)
            self.register_hooks(self.build_hooks())

    def _build_step(self, model: nn.Module) -> StepTrainer:
        settings = self.settings
        choose_what_learns(model, from_scratch=not self.run.weights)
        optimizer = self.build_optimizer(self.cfg, model)
        data_loader = self.build_train_loader(self.cfg)
        if comm.is_main_process():
            warn_of_idle_levels(model, data_loader)
        decay = settings.ema_decay
        budget = None if self.clock is None else self.clock.budget
        self.average = None if decay is None else WeightAverage(model, decay, budget)
        step = StepTrainer(
            wrap_distributed(model, **settings.ddp),
            data_loader,
            optimizer,
            accumulate_steps=settings.accumulate_steps,
            precision=settings.precision,
            max_grad_norm=settings.max_grad_norm,
        )
        step.clock = self.clock
        if budget is not None:
            follow(data_loader, budget.position)
        return step

    def _check_data(self) -> None:
        """Classes and metrics, which are known once the training data are loaded."""
        check_class_count(self.run, unwrapped(self.model))
        self.class_names = self.run.class_names
        check_test_classes(self.class_names, self.run.test_datasets)
        chosen = inspect.getattr_static(type(self), "build_evaluator")
        of_ours = chosen is inspect.getattr_static(Trainer, "build_evaluator")
        if of_ours and not self.settings.own_evaluator:
            check_metric(self.settings.best_metric, self.run.test_datasets)

    def resume_or_load(self, resume: bool = True) -> None:
        """The last checkpoint with `resume`, else the weights that the config names."""
        if self.clock is not None:
            self.clock.take_up(resume)
        with adding_keys(self.run.kind):
            resumes = resume and self.checkpointer.has_checkpoint()
            self.checkpointer.resume_or_load(self.run.weights, resume=resume)
        if resumes:  # with the iteration after the last one that is finished
            self.start_iter = self.iter + 1
        start_at(self._trainer.data_loader, self.start_iter)
        if self.clock is not None and self.clock.finished:
            self.max_iter = self.start_iter

    def load_state_dict(self, state_dict: dict) -> None:
        """That of a checkpoint; of a LazyConfig's run before version 0.2, the step's was in it."""
        super().load_state_dict({"_trainer": state_dict, **state_dict})

    def build_hooks(self) -> list[HookBase]:
        settings, tested = self.settings, self.measuring.model
        cadence = self.clock or Every(settings.eval_period)

        def evaluate_and_keep() -> dict:
            self._last_eval_results = self.measuring()
            say_results(self._last_eval_results)
            return self._last_eval_results

        return RunHooks(
            step=self._trainer,
            scheduler=self.scheduler,
            checkpointer=self.checkpointer,
            average=self.average,
            evaluate=evaluate_and_keep,
            build_writers=self.build_writers,
            settings=settings,
            cadence=cadence,
            clock=self.clock,
            before_evaluation=self._precise_norms(tested, cadence),
            after_evaluation=example_images(
                tested,
                self.run.test_datasets,
                self.run.build_test_mapper(),
                self.run.image_format,
                *(settings.logging.images, cadence, self.class_names),
            ),
        ).build()

    def _precise_norms(self, tested: nn.Module, cadence: Cadence) -> list[HookBase]:
        """The mean of the weights has other statistics than the weights in training."""
        num_batches = self.settings.precise_bn_iters
        if not (num_batches and get_bn_modules(tested)):
            return []
        # A loader of its own, so that training keeps its order.
        loader = self.build_train_loader(self.cfg)
        return [PreciseNorms(cadence, tested, loader, num_batches)]

    def build_writers(self) -> list[EventWriter]:
        logging_to = self.settings.logging
        return build_writers(
            self.run.output_dir,
            self.max_iter,
            backends=logging_to.backends,
            project=logging_to.project,
            run_name=logging_to.run_name,
            config=logging_to.settings(),
            printer=None if self.clock is None else ClockPrinter(self.clock),
        )

    def train(self) -> dict:
        """Trains to the end, or until it gets no better; results of the last evaluation."""
        self._say_if_finished()
        quiet_train_loop()
        with adding_keys(self.run.kind), suppress(EarlyStop):
            self._expect_evaluations()
            TrainerBase.train(self, self.start_iter, self.max_iter)
        if self.settings.expected_results and comm.is_main_process():
            test = SimpleNamespace(EXPECTED_RESULTS=self.settings.expected_results)
            verify_results(SimpleNamespace(TEST=test), self._last_eval_results)
        return self._last_eval_results

    def after_step(self) -> None:
        """The hooks; with a budget, the step at which its time is up is the last one."""
        if self.clock is None:
            super().after_step()
        else:
            self.clock.end_step(self, super().after_step)
            self._expect_evaluations()

    def _expect_evaluations(self) -> None:
        if self.clock is not None:
            build_loader = partial(self.build_test_loader, self.cfg)
            expect_evaluations(self.clock.budget, self.run, self.measuring, build_loader)

    def _say_if_finished(self) -> None:
        """Says so where a resumed run has nothing left to do; a lost model_final is written."""
        if not 0 < self.max_iter <= self.start_iter:
            return
        final = os.path.join(self.run.output_dir, "model_final.pth")
        if self.start_iter == self.max_iter and not os.path.isfile(final):
            self.checkpointer.save("model_final", iteration=self.start_iter - 1)
        if self.clock is not None:
            logger.warning("already finished: the checkpoint is that of the end of its schedule")
            return
        logger.warning(
            "already finished: the checkpoint has %d iterations, and `max_iter` is %d; a larger "
            "one goes on",
            *(self.start_iter, self.max_iter),
        )

    @classmethod
    def build_model(cls, cfg: Config) -> nn.Module:
        run = run_of(cfg)
        with weights_come_later(bool(run.weights)):
            return prepare_for_training(run.build_model())

    @classmethod
    def build_optimizer(cls, cfg: Config, model: nn.Module) -> torch.optim.Optimizer:
        return run_of(cfg).make_optimizer(model)

    @classmethod
    def build_lr_scheduler(cls, cfg: Config, optimizer: torch.optim.Optimizer) -> object:
        return run_of(cfg).make_scheduler(optimizer)

    @classmethod
    def build_train_loader(cls, cfg: Config) -> DataLoader:
        return run_of(cfg).build_train_loader()

    @classmethod
    def build_test_loader(cls, cfg: Config, dataset_name: str) -> DataLoader:
        return run_of(cfg).build_test_loader(dataset_name)

    @classmethod
    def build_evaluator(cls, cfg: Config, dataset_name: str) -> DatasetEvaluator:
        return run_of(cfg).make_evaluator(dataset_name)

    @classmethod
    def test(
        cls,
        cfg: Config,
        model: nn.Module,
        evaluators: DatasetEvaluator | Sequence[DatasetEvaluator] | None = None,
        class_names: list[str] | None = None,
    ) -> dict:
        """detectron2's evaluation; in slices and with test-time augmentation if `cfg` says so.

        Args:
            cfg, model: as in detectron2; see `evaluate`.
            evaluators: one for each test set, which are told of the model's classes in its own
                order; None: those of `build_evaluator`, by name.
            class_names: of the model, for these; None: those of the datasets, in their order.
        """
        run = run_of(cfg)
        if evaluators is None:
            build: Callable[[str], DatasetEvaluator] = partial(cls.build_evaluator, cfg)
        else:
            given = [evaluators] if isinstance(evaluators, DatasetEvaluator) else evaluators
            build = dict(zip(run.test_datasets, given, strict=True)).__getitem__
            class_names = None
        return evaluate(
            run,
            model,
            class_names,
            build_loader=lambda name: cls.build_test_loader(cfg, name),
            build_evaluator=build,
        )
