"""What a training or an evaluation is made of, whatever kind of config says so."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from detectron2.evaluation import DatasetEvaluator
from omegaconf import DictConfig
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from ..class_names import dataset_class_names
from ..data.mapper import FCOSDatasetMapper
from ..data.workers import follow_parent
from ..evaluation.views import ViewOptions, ViewSettings
from ..modeling.meta_arch import AnyDetector
from .keys import Kind


@dataclass(frozen=True, kw_only=True)
class Logging:
    """Where the numbers of a training go, beside the terminal and metrics.json."""

    backends: tuple[str, ...] = ("tensorboard",)
    project: str = "fcos_d2"
    run_name: str = ""
    images: int = 0  # test images that are drawn at each evaluation
    # What is shown as parameters of the run.
    settings: Callable[[], dict[str, object]] = field(default=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Training:
    """The numbers of a training; periods in iterations, 0 for never."""

    max_iter: int  # with a budget, the length that the schedule is written for
    total_batch_size: int
    budget: float = 0.0  # s of wall time for the whole run; 0: `max_iter` alone counts
    accumulate_steps: int = 1
    precision: str | None = None  # of mixed precision; None: float32
    max_grad_norm: float = math.inf
    ema_decay: float | None = None  # None: no moving mean of the weights
    fixed_statistics_share: float = 0.0  # of the run, at its end; of batch norms
    ddp: Mapping[str, object] = field(default_factory=lambda: {"broadcast_buffers": False})
    checkpoint_period: int = 5000
    max_to_keep: int | None = None  # checkpoints
    log_period: int = 20
    eval_period: int = 0
    precise_bn_iters: int = 0  # batches before an evaluation
    validation_loss: bool = False  # at each evaluation
    evaluate_raw: bool = False  # also the weights that a moving mean is of
    best_metric: str = "bbox/AP"
    own_evaluator: bool = False  # of which our table of metrics knows nothing
    patience: int = 0  # evaluations
    stall_minutes: float = 10.0  # without progress of a rank
    logging: Logging = field(default_factory=Logging)
    expected_results: tuple = ()  # [dataset, task, metric, value, tolerance], as in detectron2


@dataclass(frozen=True, kw_only=True)
class Run:
    """The parts of a run; they are built when they are asked for, and anew each time.

    `run_yaml.run_from_yaml` and `run_lazy.run_from_lazy` make it from a config, and are the only
    places that know how each kind of config says what. `dataclasses.replace` changes it.
    """

    kind: Kind
    config: Mapping[str, object] | DictConfig  # what it was made from, a CfgNode or a DictConfig
    output_dir: str
    device: str
    weights: str  # that it starts from, or evaluates; "" for none
    seed: int  # negative: another one each time
    cudnn_benchmark: bool
    train_datasets: tuple[str, ...]
    test_datasets: tuple[str, ...]
    image_format: str  # "BGR" or "RGB"
    num_classes_key: str  # of the config, for messages
    use_of_masks: Callable[[], str]  # see `learned_fields`
    view_options: ViewOptions
    score_thresh: object  # of detections, see `fcos_deploy.thresholds`; None: any
    training: Callable[[], Training]
    make_model: Callable[[str], AnyDetector]  # on a device
    make_optimizer: Callable[[nn.Module], Optimizer]
    make_scheduler: Callable[[Optimizer], Any]  # of learning rates, or fvcore's multiplier
    make_train_mapper: Callable[[], FCOSDatasetMapper]
    make_train_loader: Callable[[], DataLoader]
    make_test_mapper: Callable[[], FCOSDatasetMapper]
    make_test_loader: Callable[[str, Callable[[dict], dict]], DataLoader]
    make_evaluator: Callable[[str], DatasetEvaluator]
    finish: Callable[["Changes"], "Run"]  # a run from the config with these changes
    save_config: Callable[[str], None]  # to a file that builds this run again
    final_test: str | None = None  # the dataset that the best weights are measured on at the end
    # The data of one's own that the config names, by field of `Request`; {} for none.
    own_data: Mapping[str, str] = field(default_factory=dict)

    @property
    def views(self) -> ViewSettings:
        """Raises ValueError for slices or augmentations that cannot be."""
        return self.view_options.settings()

    @property
    def masks(self) -> str:
        """Whether training needs the masks of objects: "unused", "optional" or "required"."""
        return self.use_of_masks()

    @property
    def class_names(self) -> list[str] | None:
        """Of the training data, once they are loaded."""
        return dataset_class_names(self.train_datasets)

    def build_model(self) -> AnyDetector:
        """Raises ValueError where no model can be built with the values of the config."""
        return self.make_model(self.device)

    def build_train_mapper(self) -> FCOSDatasetMapper:
        """What makes the input of the model from a training image."""
        return self.make_train_mapper()

    def build_train_loader(self) -> DataLoader:
        """Raises ValueError for data of which nothing can be learned."""
        return self.make_train_loader()

    def build_test_mapper(self) -> FCOSDatasetMapper:
        """What makes the input of the model from a test image, looked at once."""
        return self.make_test_mapper()

    def build_test_loader(
        self, dataset_name: str, mapper: Callable[[dict], dict] | None = None
    ) -> DataLoader:
        """What a mapper makes of a test set; None: the inputs of `views.wrap(model, ...)`."""
        mapper = mapper or self.views.loader_mapper(self.build_test_mapper())
        loader = self.make_test_loader(dataset_name, mapper)
        loader.worker_init_fn = follow_parent
        return loader

    def on(self, device: str) -> "Run":
        """The same on another device."""
        return replace(self, device=device)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a config is told of the data, the machine and the command line before a run."""

    num_classes: int | None = None
    train_datasets: tuple[str, ...] | None = None
    test_datasets: tuple[str, ...] | None = None
    batch_factor: float | None = None  # real batch over that of the recipe, to scale by
    device: str | None = None
    eval_by_progress: bool = False  # of a budget, in place of a period
    trains: bool = True  # so the training data must be there
    given: tuple[str, ...] = ()  # overrides of the user, which are not scaled
