"""Where the numbers and pictures of a run go: terminal, file, TensorBoard, W&B and MLflow."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.utils import comm
from detectron2.utils.events import (
    EventWriter,
    JSONWriter,
    TensorboardXWriter,
    get_event_storage,
)
from omegaconf import DictConfig, OmegaConf

from .log_backends import MLflowWriter, WandbWriter, require
from .printer import Printer

BACKENDS = ("tensorboard", "wandb", "mlflow")


def build_writers(
    output_dir: str,
    max_iter: int,
    *,
    backends: Sequence[str] = ("tensorboard",),
    project: str = "fcos_d2",
    run_name: str = "",
    config: Mapping[str, object] | None = None,
    printer: EventWriter | None = None,
) -> list[EventWriter]:
    """The writers of the main process, in their order; none in other processes.

    Args:
        output_dir: gets metrics.json, the files of TensorBoard and W&B, and the ids of runs.
        max_iter: iterations of the whole training.
        backends: names among BACKENDS, beside the terminal and metrics.json.
        project: W&B's project, MLflow's experiment.
        run_name: shown there; "" lets them choose one.
        config: what they show as parameters of the run, see `flat_settings`.
        printer: of the progress; None for that of a run of `max_iter` iterations.

    Raises:
        ValueError: a name that there is not, or whose package is missing; says what to do.
    """
    if isinstance(backends, str) or not set(backends) <= set(BACKENDS):
        raise ValueError(
            f"`backends` must be a list of names among {[*BACKENDS]}, got {backends!r}"
        )
    if not comm.is_main_process():
        return []
    os.makedirs(output_dir, exist_ok=True)
    writers = [
        printer or Printer(max_iter),
        JSONWriter(os.path.join(output_dir, "metrics.json")),
    ]
    if "wandb" in backends:
        writers.append(
            WandbWriter(output_dir, project=project, run_name=run_name, config=config or {})
        )
    if "mlflow" in backends:
        writers.append(
            MLflowWriter(output_dir, project=project, run_name=run_name, config=config or {})
        )
    # The last one, as it also makes the storage forget the images.
    if "tensorboard" in backends:
        require("tensorboard", "torch.utils.tensorboard", "SummaryWriter")
        writers.append(TensorboardXWriter(output_dir))
    else:
        writers.append(ImageCleaner())
    return writers


class ImageCleaner(EventWriter):
    """Makes the storage forget images and histograms where no TensorBoard does so."""

    def write(self) -> None:
        storage = get_event_storage()
        storage.clear_images()
        storage.clear_histograms()


def flat_settings(cfg: Mapping[str, object] | DictConfig) -> dict[str, object]:
    """The values of a config by dotted name.

    Args:
        cfg: a yaml config, or a section of a python one.

    Returns:
        Such as {"SOLVER.BASE_LR": 0.01}: numbers, strings, lists and None; the text of others.
    """
    values: Any = cfg
    if isinstance(cfg, DictConfig):
        values = OmegaConf.to_container(cfg, resolve=True)
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": leaf for inner, leaf in flat_settings(value).items()}
        else:
            is_plain = value is None or isinstance(value, (bool, int, float, str, list, tuple))
            flat[str(name)] = value if is_plain else str(value)
    return flat
