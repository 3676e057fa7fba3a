"""Where the numbers of a run go: terminal, metrics.json, TensorBoard, Weights & Biases, MLflow."""

import importlib
import logging
import os
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from detectron2.utils.events import (
    CommonMetricPrinter,
    EventWriter,
    JSONWriter,
    TensorboardXWriter,
    get_event_storage,
)

logger = logging.getLogger(__name__)

BACKENDS = ("tensorboard", "wandb", "mlflow")
PARAMETER_LENGTH = 500  # characters of a value that every version of MLflow takes


class Tracker(Protocol):
    """A run of an experiment tracker."""

    def scalars(self, values: dict[str, float], step: int) -> None: ...

    def image(self, name: str, image: np.ndarray, step: int) -> None:
        """`image` is (H, W, 3) uint8 RGB."""

    def close(self) -> None: ...


def build_writers(
    output_dir: str,
    max_iter: int,
    *,
    backends: list[str],
    project: str,
    run_name: str,
    config: dict[str, str],
) -> list[EventWriter]:
    """Writers for the main process.

    Args:
        output_dir: of the run; what identifies it with a tracker is kept there, so that a resumed
            run goes on in the same one.
        max_iter: iterations of the run.
        backends: some of BACKENDS.
        project, run_name: with the trackers; "" lets the tracker find a name.
        config: settings that the trackers show, by name.

    Raises:
        ValueError: unknown backend, or one that is not installed; says how to.
    """
    if unknown := [name for name in backends if name not in BACKENDS]:
        raise ValueError(
            f"LOGGING.BACKENDS (train.logging.backends) must be some of {BACKENDS}, got {unknown}"
        )
    os.makedirs(output_dir, exist_ok=True)
    writers = [CommonMetricPrinter(max_iter), JSONWriter(os.path.join(output_dir, "metrics.json"))]
    for name, tracker_class in (("wandb", WandbRun), ("mlflow", MLflowRun)):
        if name in backends:
            tracker = tracker_class(_import(name), Path(output_dir), project, run_name, config)
            writers.append(TrackerWriter(tracker, name))
    if "tensorboard" in backends:  # last, because it takes the images out of the storage
        _import("tensorboard")
        writers.append(TensorboardXWriter(output_dir))
    else:
        writers.append(_ClearImages())
    return writers


def _import(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        extra = name if name == "tensorboard" else f'"fcos_d2[{name}]"'
        raise ValueError(
            f"LOGGING.BACKENDS (train.logging.backends) names {name}, which is not installed: "
            f"pip install {extra}"
        ) from None


class TrackerWriter(EventWriter):
    """Hands new scalars and images to a tracker; one that fails is left alone, the run goes on."""

    def __init__(self, tracker: Tracker, name: str, window_size: int = 20) -> None:
        """
        Args:
            tracker: where they go.
            name: for messages.
            window_size: iterations whose median is taken of scalars that jump.
        """
        self._tracker: Tracker | None = tracker
        self._name = name
        self._window_size = window_size
        self._last_write = -1

    def write(self) -> None:
        """What came since the last call."""
        if self._tracker is None:
            return
        storage = get_event_storage()
        by_step: dict[int, dict[str, float]] = defaultdict(dict)
        for key, (value, step) in storage.latest_with_smoothing_hint(self._window_size).items():
            if step > self._last_write:
                by_step[step][key] = value
        self._last_write = max([self._last_write, *by_step])
        try:
            for step in sorted(by_step):
                self._tracker.scalars(by_step[step], step)
            for name, image, step in storage._vis_data:  # as detectron2's own writer reads them
                self._tracker.image(name, np.ascontiguousarray(image.transpose(1, 2, 0)), step)
        except Exception as error:  # trackers raise anything, and two days of training are at stake
            self._give_up(error)

    def close(self) -> None:
        try:
            if self._tracker is not None:
                self._tracker.close()
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        logger.warning("%s failed and gets no more of this run: %s", self._name, error)
        self._tracker = None


class WandbRun:
    """A run of Weights & Biases."""

    def __init__(
        self, wandb: object, output_dir: Path, project: str, run_name: str, config: dict[str, str]
    ) -> None:
        """`wandb` is the module; the others as in `build_writers`."""
        id_file = output_dir / "wandb_run_id"
        run_id = id_file.read_text() if id_file.exists() else None
        self._wandb = wandb
        self._run = wandb.init(
            project=project,
            name=run_name or None,
            dir=str(output_dir),
            config=config,
            id=run_id,
            resume="allow",
        )
        id_file.write_text(self._run.id)
        # Scalars of an evaluation come later than those of the same iteration.
        self._run.define_metric("*", step_metric="iteration")

    def scalars(self, values: dict[str, float], step: int) -> None:
        self._run.log({**values, "iteration": step})

    def image(self, name: str, image: np.ndarray, step: int) -> None:
        self._run.log({name: self._wandb.Image(image), "iteration": step})

    def close(self) -> None:
        self._run.finish()


class MLflowRun:
    """A run of MLflow, on the server that MLFLOW_TRACKING_URI names."""

    def __init__(
        self, mlflow: object, output_dir: Path, project: str, run_name: str, config: dict[str, str]
    ) -> None:
        """`mlflow` is the module; the others as in `build_writers`."""
        id_file = output_dir / "mlflow_run_id"
        self._mlflow = mlflow
        mlflow.set_experiment(project)
        if id_file.exists():
            mlflow.start_run(run_id=id_file.read_text())
        else:
            run = mlflow.start_run(run_name=run_name or None)
            id_file.write_text(run.info.run_id)
            mlflow.log_params({_legal(k): v[:PARAMETER_LENGTH] for k, v in config.items()})

    def scalars(self, values: dict[str, float], step: int) -> None:
        self._mlflow.log_metrics({_legal(key): value for key, value in values.items()}, step=step)

    def image(self, name: str, image: np.ndarray, step: int) -> None:
        path = Path(_legal(name))
        self._mlflow.log_image(image, str(path.parent / f"{path.stem}_{step:07d}.png"))

    def close(self) -> None:
        self._mlflow.end_run()


def flat_settings(settings: Mapping, prefix: str = "") -> dict[str, str]:
    """All values of nested mappings as text, by names such as "SOLVER.BASE_LR"."""
    flat = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flat_settings(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat


def _legal(name: str) -> str:
    """A name of letters, digits and _-./ and spaces, which are those that MLflow takes."""
    return re.sub(r"[^\w\-./ ]", "_", name, flags=re.ASCII)


class _ClearImages(EventWriter):
    def write(self) -> None:
        get_event_storage().clear_images()
