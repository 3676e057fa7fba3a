"""Stand-ins for wandb and mlflow that keep what they get, for machines without the packages."""

import sys
from collections import namedtuple
from types import ModuleType, SimpleNamespace

Metric = namedtuple("Metric", "key value timestamp step")
Param = namedtuple("Param", "key value")


class FakeRun:
    """A run of W&B, which takes steps in rising order only."""

    def __init__(self, run_id, options):
        self.id = run_id
        self.options = options
        self.step = 0
        self.rows = []
        self.exit_code = None

    def log(self, values, step, commit):
        assert step >= self.step and commit
        self.rows.append((step, values))
        self.step = step + 1

    def finish(self, exit_code):
        self.exit_code = exit_code


class FakeWandb(ModuleType):
    def __init__(self):
        super().__init__("wandb")
        self.runs = {}
        self.broken = False

    def init(self, *, id=None, **options):
        if self.broken:
            raise ConnectionError("no network")
        run_id = id or f"run{len(self.runs)}"
        return self.runs.setdefault(run_id, FakeRun(run_id, options))

    def Image(self, array):
        return array


class FakeClient:
    """A client of MLflow with its server: experiments and runs by id."""

    def __init__(self):
        self.experiments = {}
        self.runs = {}
        self.broken = False

    def __call__(self):
        return self

    def get_experiment_by_name(self, name):
        found = self.experiments.get(name)
        return SimpleNamespace(experiment_id=found) if found else None

    def create_experiment(self, name):
        self.experiments[name] = f"experiment{len(self.experiments)}"
        return self.experiments[name]

    def create_run(self, experiment_id, run_name):
        run = SimpleNamespace(experiment_id=experiment_id, name=run_name, status="RUNNING")
        run.metrics, run.params, run.images = [], [], []
        run_id = f"run{len(self.runs)}"
        self.runs[run_id] = run
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def update_run(self, run_id, status):
        self.runs[run_id].status = status

    set_terminated = update_run

    def log_batch(self, run_id, metrics=(), params=()):
        if self.broken:
            raise ConnectionError("no network")
        assert len(params) <= 100 and len(metrics) <= 1000
        self.runs[run_id].metrics += metrics
        self.runs[run_id].params += params

    def log_image(self, run_id, image, key, step):
        self.runs[run_id].images.append((key, image, step))


def install(monkeypatch):
    """Puts both into the place of the packages; returns the module wandb and MLflow's client."""
    wandb, mlflow, client = FakeWandb(), ModuleType("mlflow"), FakeClient()
    mlflow.MlflowClient = client
    mlflow.entities = SimpleNamespace(Metric=Metric, Param=Param)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    return wandb, client
