"""Numbers and images on their way to trackers."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectron2.engine import TrainerBase
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage, TensorboardXWriter
from torch import nn

from fcos_d2.config import get_cfg
from fcos_d2.engine.example_images import ExampleImages
from fcos_d2.engine.loggers import TrackerWriter, build_writers, flat_settings

OPTIONS = {"project": "cells", "run_name": "first", "config": {"SOLVER.BASE_LR": "0.01"}}


class Recorder:
    """A tracker that keeps what it gets."""

    def __init__(self):
        self.got = []

    def scalars(self, values, step):
        self.got.append((step, values))

    def image(self, name, image, step):
        self.got.append((step, name, image.shape))

    def close(self):
        self.got.append("closed")


def test_scalars_are_sent_once_and_images_as_rows():
    recorder = Recorder()
    writer = TrackerWriter(recorder, "recorder")
    with EventStorage(0) as storage:
        storage.put_scalar("lr", 0.5, smoothing_hint=False)
        storage.put_image("predictions/a.jpg", np.zeros((3, 4, 6), np.uint8))
        writer.write()
        storage.clear_images()
        storage.step()
        writer.write()  # nothing new
        storage.put_scalars(lr=0.25, AP=30.0, smoothing_hint=False)
        writer.write()
    writer.close()
    assert recorder.got == [
        (0, {"lr": 0.5}),
        (0, "predictions/a.jpg", (4, 6, 3)),
        (1, {"lr": 0.25, "AP": 30.0}),
        "closed",
    ]


def test_a_tracker_that_fails_does_not_end_the_run(caplog):
    def fail(*args):
        raise ConnectionError("no network")

    writer = TrackerWriter(SimpleNamespace(scalars=fail, image=fail, close=fail), "wandb")
    with EventStorage(0) as storage:
        for _ in range(3):
            storage.put_scalar("lr", 0.5)
            writer.write()
            storage.step()
    writer.close()
    assert caplog.text.count("wandb failed and gets no more of this run: no network") == 1


def fake_wandb(calls):
    run = SimpleNamespace(
        id="abc",
        log=lambda values: calls.append(("log", values)),
        define_metric=lambda *a, **k: None,
        finish=lambda: calls.append(("finish",)),
    )

    def init(**options):
        calls.append(("init", options))
        return run

    return SimpleNamespace(init=init, Image=lambda image: ("image", image.shape))


def fake_mlflow(calls):
    def start_run(**options):
        calls.append(("start_run", options))
        return SimpleNamespace(info=SimpleNamespace(run_id="abc"))

    names = ("set_experiment", "log_params", "log_metrics", "end_run")
    recorded = {n: lambda *a, n=n, **k: calls.append((n, *a, *k.values())) for n in names}
    log_image = lambda image, path: calls.append(("log_image", image.shape, path))  # noqa: E731
    return SimpleNamespace(start_run=start_run, log_image=log_image, **recorded)


def run_with(monkeypatch, tmp_path, name, fake):
    """The calls of a run of one iteration with a scalar and an image."""
    calls = []
    monkeypatch.setitem(sys.modules, name, fake(calls))
    writers = build_writers(str(tmp_path), 10, backends=[name], **OPTIONS)
    with EventStorage(4) as storage:
        storage.put_scalar("bbox/AP-é", 0.5, smoothing_hint=False)
        storage.put_image("predictions/a.jpg", np.zeros((3, 4, 6), np.uint8))
        for writer in writers[2:]:
            writer.write()
        assert not storage._vis_data
    for writer in writers[2:]:
        writer.close()
    return calls


def test_wandb(monkeypatch, tmp_path):
    calls = run_with(monkeypatch, tmp_path, "wandb", fake_wandb)
    init = calls.pop(0)[1]
    assert (init["project"], init["name"], init["config"]) == tuple(OPTIONS.values())
    assert init["id"] is None and init["resume"] == "allow"
    assert calls == [
        ("log", {"bbox/AP-é": 0.5, "iteration": 4}),
        ("log", {"predictions/a.jpg": ("image", (4, 6, 3)), "iteration": 4}),
        ("finish",),
    ]
    # A resumed run goes on in the same one.
    assert run_with(monkeypatch, tmp_path, "wandb", fake_wandb)[0][1]["id"] == "abc"


def test_mlflow(monkeypatch, tmp_path):
    calls = run_with(monkeypatch, tmp_path, "mlflow", fake_mlflow)
    assert calls == [
        ("set_experiment", "cells"),
        ("start_run", {"run_name": "first"}),
        ("log_params", {"SOLVER.BASE_LR": "0.01"}),
        ("log_metrics", {"bbox/AP-_": 0.5}, 4),
        ("log_image", (4, 6, 3), "predictions/a_0000004.png"),
        ("end_run",),
    ]
    again = run_with(monkeypatch, tmp_path, "mlflow", fake_mlflow)
    assert again[1] == ("start_run", {"run_id": "abc"})


def test_mlflow_for_real(monkeypatch, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")
    monkeypatch.chdir(tmp_path)
    writers = build_writers(str(tmp_path / "run"), 10, backends=["mlflow"], **OPTIONS)
    with EventStorage(4) as storage:
        storage.put_scalar("bbox/AP", 0.5, smoothing_hint=False)
        writers[2].write()
    writers[2].close()
    run = mlflow.get_run((tmp_path / "run" / "mlflow_run_id").read_text())
    assert run.data.metrics == {"bbox/AP": 0.5} and run.info.run_name == "first"


def test_wandb_for_real(monkeypatch, tmp_path):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    writers = build_writers(str(tmp_path), 10, backends=["wandb"], **OPTIONS)
    with EventStorage(4) as storage:
        storage.put_scalar("bbox/AP", 0.5, smoothing_hint=False)
        writers[2].write()
    writers[2].close()
    (log,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert b"bbox/AP" in log.read_bytes()


def test_default_and_mistakes(monkeypatch, tmp_path):
    writers = build_writers(str(tmp_path), 10, backends=["tensorboard"], **OPTIONS)
    assert isinstance(writers[-1], TensorboardXWriter) and len(writers) == 3
    with pytest.raises(ValueError, match=r"must be some of .*'mlflow'.* got \['neptune'\]"):
        build_writers(str(tmp_path), 10, backends=["neptune"], **OPTIONS)
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    with pytest.raises(ValueError, match=r'not installed: pip install "fcos_d2\[wandb\]"'):
        build_writers(str(tmp_path), 10, backends=["wandb"], **OPTIONS)


def test_flat_settings():
    flat = flat_settings(get_cfg())
    assert flat["MODEL.FCOS.NUM_CLASSES"] == "80" and flat["SOLVER.EMA.ENABLED"] == "False"


# --- example images ---------------------------------------------------------------------------


class OneBox(nn.Module):
    """Finds a box surely, and one hardly."""

    def forward(self, batch):
        assert not self.training
        found = Instances((batch[0]["height"], batch[0]["width"]))
        found.pred_boxes = Boxes(torch.tensor([[100.0, 200.0, 900.0, 600.0], [0, 0, 9, 9]]))
        found.scores = torch.tensor([0.9, 0.1])
        found.pred_classes = torch.tensor([0, 0])
        return [{"instances": found}]


def test_example_images():
    """A 1000 x 800 image whose network input is half of it: the picture is 640 x 512."""
    image = torch.zeros(3, 400, 500, dtype=torch.uint8)
    inputs = {"image": image, "file_name": "x/a.jpg", "height": 800, "width": 1000}
    hook = ExampleImages(OneBox(), [inputs], ["cell"], period=2)
    hook.trainer = TrainerBase()
    hook.trainer.max_iter = 10
    with EventStorage(3) as hook.trainer.storage:
        for hook.trainer.iter in (2, 3):
            hook.after_step()
        ((name, picture, step),) = hook.trainer.storage._vis_data
    assert (name, step, picture.shape) == ("predictions/a.jpg", 3, (3, 512, 640))
    assert hook.model.training
    # The box lies at 0.64 times its place; its outline is coloured, its inside is not.
    assert picture[:, 384 - 2 : 384, 70:570].any() and not picture[:, 200:300, 100:400].any()
