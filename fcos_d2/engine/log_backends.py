"""Writers for Weights & Biases and MLflow, optional packages that are imported on use."""

import importlib
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from detectron2.utils.events import EventStorage, EventWriter, get_event_storage

from .log_events import FailureGuard, new_events, run_to_resume, training_failed

MLFLOW_BATCH = 100  # parameters in one request, MLflow's limit; of metrics it takes 1000
MLFLOW_VALUE = 6000  # characters of a parameter's value


def require(package: str, module: str, attribute: str) -> ModuleType:
    """The module of a backend.

    Raises:
        ValueError: it cannot be imported; names the package to install.
    """
    try:
        found = importlib.import_module(module)
        # A folder of that name in the working directory, such as W&B makes, is imported as well.
        if not hasattr(found, attribute):
            raise ImportError(f"{module} has no {attribute}")
    except ImportError as error:
        raise ValueError(
            f'"{package}" among `backends` needs a package that cannot be imported ({error}): '
            f"pip install {package}, or take the name out"
        ) from error
    return found


class WandbWriter(EventWriter):
    """Scalars, images and config to Weights & Biases; a resumed training goes on in its run.

    Login, server and offline mode are set as always with W&B, e.g. by WANDB_MODE=offline.
    """

    def __init__(
        self, output_dir: str, *, project: str, run_name: str, config: Mapping[str, object]
    ) -> None:
        """Arguments and errors as in `build_writers`; the first write opens the run."""
        self._wandb = require("wandb", "wandb", "init")
        self._id_file = Path(output_dir, "wandb_run_id")
        self._options = {"project": project, "name": run_name or None, "dir": output_dir}
        self._config = nested_settings(config)
        self._run: Any = None
        self._last_write = -1
        self._guard = FailureGuard("W&B")

    def write(self) -> None:
        self._guard.attempt(self._write)

    def close(self) -> None:
        self._guard.attempt(self._finish, final=True)

    def _write(self) -> None:
        storage = get_event_storage()
        for iteration, (scalars, images) in new_events(storage, self._last_write).items():
            if self._run is None:
                self._open(storage)
            # W&B takes steps in rising order only; it has those that a resumed run repeats.
            if iteration >= self._run.step:
                pictures = {name: self._wandb.Image(image) for name, image in images.items()}
                self._run.log({**scalars, **pictures}, step=iteration, commit=True)
            self._last_write = iteration

    def _open(self, storage: EventStorage) -> None:
        run_id = run_to_resume(self._id_file, storage)
        if run_id:
            self._run = self._wandb.init(**self._options, id=run_id, resume="allow")
        else:
            self._run = self._wandb.init(**self._options, config=self._config)
            self._id_file.write_text(self._run.id)

    def _finish(self) -> None:
        self._write()
        if self._run is not None:
            self._run.finish(exit_code=int(training_failed()))


class MLflowWriter(EventWriter):
    """Scalars, images and config to MLflow; a resumed training goes on in its run.

    The server is that of MLFLOW_TRACKING_URI, else MLflow's default in the working directory.
    """

    def __init__(
        self, output_dir: str, *, project: str, run_name: str, config: Mapping[str, object]
    ) -> None:
        """Arguments and errors as in `build_writers`; the first write opens the run."""
        self._mlflow = require("mlflow", "mlflow", "MlflowClient")
        self._id_file = Path(output_dir, "mlflow_run_id")
        self._project = project
        self._run_name = run_name
        self._unsent_config = dict(config)
        self._client: Any = None
        self._run_id = ""
        self._last_write = -1
        self._guard = FailureGuard("MLflow")

    def write(self) -> None:
        self._guard.attempt(self._write)

    def close(self) -> None:
        self._guard.attempt(self._finish, final=True)

    def _write(self) -> None:
        storage = get_event_storage()
        names = mlflow_names(storage.latest())
        for iteration, (scalars, images) in new_events(storage, self._last_write).items():
            if not self._run_id:
                self._open(storage)
            self._send_config()
            now = int(1000 * time.time())
            metrics = [(names[name], value, now, iteration) for name, value in scalars.items()]
            self._send("metrics", self._mlflow.entities.Metric, metrics)
            for name, image in images.items():
                key = re.sub(r"[^\w\-./ ]", "_", name, flags=re.ASCII)
                self._client.log_image(self._run_id, image, key=key, step=iteration)
            self._last_write = iteration

    def _open(self, storage: EventStorage) -> None:
        self._client = self._mlflow.MlflowClient()
        run_id = run_to_resume(self._id_file, storage)
        if run_id:
            self._client.update_run(run_id, status="RUNNING")
            self._unsent_config = {}
        else:
            experiment = self._client.get_experiment_by_name(self._project)
            folder = experiment.experiment_id if experiment else None
            folder = folder or self._client.create_experiment(self._project)
            run_id = self._client.create_run(folder, run_name=self._run_name or None).info.run_id
            self._id_file.write_text(run_id)
        self._run_id = run_id

    def _send_config(self) -> None:
        names = mlflow_names(self._unsent_config)
        params = [(names[k], str(v)[:MLFLOW_VALUE]) for k, v in self._unsent_config.items()]
        self._send("params", self._mlflow.entities.Param, params)
        self._unsent_config = {}

    def _send(self, kind: str, entity: type, rows: list[tuple]) -> None:
        for i in range(0, len(rows), MLFLOW_BATCH):
            batch = [entity(*row) for row in rows[i : i + MLFLOW_BATCH]]
            self._client.log_batch(self._run_id, **{kind: batch})

    def _finish(self) -> None:
        self._write()
        if self._run_id:
            status = "FAILED" if training_failed() else "FINISHED"
            self._client.set_terminated(self._run_id, status)


def mlflow_names(names: Iterable[str]) -> dict[str, str]:
    """MLflow's names for ours, all different.

    It takes letters, digits, spaces and _-./ in what could be the path of a file. Others become
    "_", and names that get the same this way end in _2, _3, ...

    Args:
        names: all that are in use, always in the same order.
    """
    found: dict[str, str] = {}
    for name in names:
        # No empty parts, and none of dots only: in a path they would mean another place.
        parts = [re.sub(r"[^\w\-. ]", "_", part) for part in name.split("/")]
        parts = ["_" * max(1, len(part)) if set(part) <= {"."} else part for part in parts]
        found[name] = "/".join(parts)
    used = {name for name in found if found[name] == name}
    for name, new in found.items():
        endings = ("", *(f"_{n}" for n in range(2, len(found) + 2)))
        if new != name:
            found[name] = next(new + ending for ending in endings if new + ending not in used)
            used.add(found[name])
    return found


def nested_settings(flat: Mapping[str, object]) -> dict[str, object]:
    """{"A": {"B": 1}} of {"A.B": 1}: W&B wants no dots in its names, and shows them as A.B."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *sections, last = name.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return nested
