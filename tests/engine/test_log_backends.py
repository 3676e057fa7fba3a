"""W&B and MLflow: with stand-ins everywhere, and for real where the packages are installed."""

import json
import logging
import time

import fake_services
import numpy as np
import pytest
from detectron2.utils.events import EventStorage
from PIL import Image

from fcos_d2.engine.log_backends import (
    MLflowWriter,
    WandbWriter,
    mlflow_names,
    nested_settings,
)

CONFIG = {"SOLVER.BASE_LR": 0.01, "DATASETS.TRAIN": ["a", "b"]}
IMAGE = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


@pytest.fixture
def services(monkeypatch):
    return fake_services.install(monkeypatch)


def writer_of(kind, folder):
    return kind(str(folder), project="shapes", run_name="first", config=CONFIG)


def train(writer, start, stop, error=None):
    """As a loop that writes after every second iteration; the loss is 1 / (1 + iteration)."""
    with EventStorage(start) as storage:
        for iteration in range(start, stop):
            storage.iter = iteration
            loss = 1 / (1 + iteration)
            storage.put_scalar("loss/cls", loss, smoothing_hint=False)
            if iteration % 2:
                storage.put_scalar("bbox/AP-T-shirt (M)", 50.0, smoothing_hint=False)
                storage.put_image("predictions/a(1).jpg", IMAGE)
                writer.write()
                storage.clear_images()
        storage.iter = stop
        storage.put_scalar("bbox/AP", 60.0, smoothing_hint=False)
        try:
            if error:
                raise error
        except ValueError:
            writer.close()
        else:
            writer.close()


def test_wandb(services, tmp_path):
    wandb, _ = services
    train(writer_of(WandbWriter, tmp_path), 0, 4)
    (run,) = wandb.runs.values()
    config = {"SOLVER": {"BASE_LR": 0.01}, "DATASETS": {"TRAIN": ["a", "b"]}}
    options = {"project": "shapes", "name": "first", "dir": str(tmp_path), "config": config}
    assert run.options == options
    assert [step for step, _ in run.rows] == [1, 3, 4]
    first, last = run.rows[0][1], run.rows[-1][1]
    assert first["loss/cls"] == 1 / 2 and first["bbox/AP-T-shirt (M)"] == 50
    assert np.array_equal(first["predictions/a(1).jpg"], IMAGE.transpose(1, 2, 0))
    assert last == {"bbox/AP": 60.0}
    assert run.exit_code == 0


def test_wandb_goes_on_in_its_run(services, tmp_path):
    """Iterations 4 to 7 are logged; the training goes on after 3, and 4 to 7 are not repeated."""
    wandb, _ = services
    train(writer_of(WandbWriter, tmp_path), 0, 8)
    train(writer_of(WandbWriter, tmp_path), 4, 12)
    (run,) = wandb.runs.values()
    assert [step for step, _ in run.rows] == [1, 3, 5, 7, 8, 9, 11, 12]
    train(writer_of(WandbWriter, tmp_path), 0, 2)  # a new training in the same folder
    assert [*wandb.runs] == ["run0", "run1"]
    assert (tmp_path / "wandb_run_id").read_text() == "run1"


def test_wandb_that_fails_at_first(services, tmp_path, caplog):
    """What was put in meanwhile and is not out of date comes later, with its iteration."""
    wandb, _ = services
    wandb.broken = True
    writer = writer_of(WandbWriter, tmp_path)
    caplog.set_level(logging.WARNING)
    with EventStorage(0) as storage:
        storage.put_scalar("bbox/AP", 50.0)
        writer.write()
        wandb.broken = False
        storage.iter = 2
        storage.put_scalar("loss/cls", 1.0)
        writer.write()
        assert wandb.runs == {}  # in the pause after a failure
        writer.close()
    assert wandb.runs["run0"].rows == [(0, {"bbox/AP": 50.0}), (2, {"loss/cls": 1.0})]
    assert len(caplog.records) == 1


def test_nothing_to_write_opens_no_run(services, tmp_path):
    wandb, client = services
    with EventStorage(0):
        for kind in (WandbWriter, MLflowWriter):
            writer = writer_of(kind, tmp_path)
            writer.write()
            writer.close()
    assert wandb.runs == {} and client.runs == {}


def test_mlflow(services, tmp_path):
    _, client = services
    train(writer_of(MLflowWriter, tmp_path), 0, 4)
    (run,) = client.runs.values()
    assert run.experiment_id == client.experiments["shapes"]
    assert (run.name, run.status) == ("first", "FINISHED")
    assert run.params == [("SOLVER.BASE_LR", "0.01"), ("DATASETS.TRAIN", "['a', 'b']")]
    losses = [(m.step, m.value) for m in run.metrics if m.key == "loss/cls"]
    assert losses == [(1, 1 / 2), (3, 1 / 4)]
    assert [m.step for m in run.metrics if m.key == "bbox/AP-T-shirt _M_"] == [1, 3]
    assert [m.step for m in run.metrics if m.key == "bbox/AP"] == [4]
    assert [(key, step) for key, _, step in run.images] == [
        ("predictions/a_1_.jpg", 1),
        ("predictions/a_1_.jpg", 3),
    ]
    assert np.array_equal(run.images[0][1], IMAGE.transpose(1, 2, 0))


def test_mlflow_goes_on_in_its_run(services, tmp_path):
    _, client = services
    train(writer_of(MLflowWriter, tmp_path), 0, 4, ValueError())
    (run,) = client.runs.values()
    assert run.status == "FAILED"
    train(writer_of(MLflowWriter, tmp_path), 4, 6)
    assert [*client.runs.values()] == [run] and run.status == "FINISHED"
    assert len(run.params) == len(CONFIG)
    assert [m.step for m in run.metrics if m.key == "loss/cls"] == [1, 3, 5]
    train(writer_of(MLflowWriter, tmp_path), 0, 2)
    assert len(client.runs) == 2 and len(client.experiments) == 1


def test_mlflow_that_fails_in_the_middle(services, tmp_path, caplog):
    _, client = services
    writer = writer_of(MLflowWriter, tmp_path)
    client.broken = True  # after the run is open, but before its parameters are sent
    caplog.set_level(logging.WARNING)
    with EventStorage(0) as storage:
        storage.put_scalar("bbox/AP", 50.0)
        writer.write()
        client.broken = False
        writer.close()
    (run,) = client.runs.values()
    assert len(run.params) == len(CONFIG) and len(run.metrics) == 1
    assert len(caplog.records) == 1


def test_mlflow_takes_long_configs_in_parts(services, tmp_path):
    _, client = services
    config = {f"key{i}": "x" * 7000 for i in range(250)}
    writer = MLflowWriter(str(tmp_path), project="p", run_name="", config=config)
    train(writer, 0, 2)
    (run,) = client.runs.values()
    assert [key for key, _ in run.params] == [*config] and len(run.params[0].value) == 6000
    assert run.name is None


def test_mlflow_names():
    assert mlflow_names(["bbox/AP-traffic light", "loss_fcos_cls", "AP-café"]) == {
        "bbox/AP-traffic light": "bbox/AP-traffic light",
        "loss_fcos_cls": "loss_fcos_cls",
        "AP-café": "AP-café",
    }
    # The same after the mapping, but still told apart; a legal name stays as it is.
    names = mlflow_names(["AP-a+", "AP-a*", "AP-a_", "[metric]x"])
    assert [*names.values()] == ["AP-a__2", "AP-a__3", "AP-a_", "_metric_x"]
    # As paths, these would be elsewhere.
    assert [*mlflow_names(["/a", "a//b", "../a", "a/."]).values()] == [
        "_/a",
        "a/_/b",
        "__/a",
        "a/_",
    ]


def test_nested_settings():
    flat = {"A.B.C": 1, "A.D": 2, "E": 3}
    assert nested_settings(flat) == {"A": {"B": {"C": 1}, "D": 2}, "E": 3}


@pytest.mark.slow
def test_real_wandb_offline(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train(writer_of(WandbWriter, tmp_path), 0, 4)
    assert wandb.run is None  # closed
    rows, config, run_id = read_wandb(tmp_path)
    assert run_id == (tmp_path / "wandb_run_id").read_text()
    assert config["SOLVER"] == {"BASE_LR": 0.01}
    assert [row["_step"] for row in rows] == [1, 3, 4]
    assert [row.get("loss/cls") for row in rows] == [1 / 2, 1 / 4, None]
    assert rows[0]["bbox/AP-T-shirt (M)"] == 50 and rows[2]["bbox/AP"] == 60
    assert rows[0]["predictions/a(1).jpg/_type"] == "image-file"
    path = rows[0]["predictions/a(1).jpg/path"]
    (picture,) = tmp_path.glob(f"wandb/offline-run-*/files/{path}")
    assert np.array_equal(np.asarray(Image.open(picture)), IMAGE.transpose(1, 2, 0))


def read_wandb(folder):
    """History rows, config and run id from the file that an offline run leaves."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    for _ in range(100):  # W&B's service may write it a second after the run has ended
        if path.stat().st_size > 7:
            break
        time.sleep(0.1)
    rows, config, run_id = [], {}, None
    for content in leveldb_records(path.read_bytes()):
        record = Record.FromString(content)
        if record.HasField("run"):
            run_id = record.run.run_id
            config |= {u.key: json.loads(u.value_json) for u in record.run.config.update}
        if record.HasField("history"):
            items = record.history.item
            rows.append({i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items})
    return rows, config, run_id


def leveldb_records(data, header=7, block=32768):
    """Records of a log in LevelDB's format: blocks of chunks (crc, length, type) and content."""
    at, content = header, b""
    while at + 7 <= len(data):
        if block - at % block < 7:  # the end of a block is filled up
            at += block - at % block
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        content += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last chunk of one
            yield content
            content = b""


@pytest.mark.slow
def test_real_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(tmp_path)  # images go to ./mlruns
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    train(writer_of(MLflowWriter, tmp_path), 0, 4, ValueError())
    train(writer_of(MLflowWriter, tmp_path), 4, 6)
    client = mlflow.MlflowClient()
    run_id = (tmp_path / "mlflow_run_id").read_text()
    experiment = client.get_experiment_by_name("shapes")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_id, run.info.run_name, run.info.status) == (run_id, "first", "FINISHED")
    assert run.data.params == {"SOLVER.BASE_LR": "0.01", "DATASETS.TRAIN": "['a', 'b']"}
    losses = client.get_metric_history(run_id, "loss/cls")
    assert [(m.step, m.value) for m in losses] == [(1, 1 / 2), (3, 1 / 4), (5, 1 / 6)]
    shirts = client.get_metric_history(run_id, "bbox/AP-T-shirt _M_")
    assert [m.step for m in shirts] == [1, 3, 5]
    images = [a.path for a in client.list_artifacts(run_id, "images") if a.path.endswith(".png")]
    assert len(images) == 3 and all("a_1_.jpg" in path for path in images)
    saved = mlflow.artifacts.load_image(f"runs:/{run_id}/{images[0]}")
    assert np.array_equal(np.asarray(saved), IMAGE.transpose(1, 2, 0))
