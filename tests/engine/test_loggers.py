import json
import sys

import fake_services
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.utils import comm
from detectron2.utils.events import (
    EventStorage,
    JSONWriter,
    TensorboardXWriter,
)
from omegaconf import OmegaConf

from fcos_d2.engine.log_backends import MLflowWriter, WandbWriter
from fcos_d2.engine.loggers import ImageCleaner, build_writers, flat_settings
from fcos_d2.engine.printer import Printer


def kinds(writers):
    return [type(writer) for writer in writers]


def test_terminal_and_file_always(tmp_path):
    writers = build_writers(str(tmp_path / "new"), 9, backends=[])
    assert kinds(writers) == [Printer, JSONWriter, ImageCleaner]
    with EventStorage(0) as storage:
        storage.put_scalar("total_loss", 2.0)
        storage.put_image("a", torch.zeros(3, 2, 2, dtype=torch.uint8))
        storage.put_histogram("b", torch.ones(2), bins=2)
        for writer in writers:
            writer.write()
        assert storage._vis_data == [] and storage._histograms == []
    record = json.loads((tmp_path / "new" / "metrics.json").read_text())
    assert record["total_loss"] == 2 and record["iteration"] == 0


def test_tensorboard_is_the_default_and_comes_last(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    fake_services.install(monkeypatch)
    always = [Printer, JSONWriter]
    assert kinds(build_writers(str(tmp_path), 9)) == [*always, TensorboardXWriter]
    backends = OmegaConf.create(["tensorboard", "mlflow", "wandb"])
    expected = [*always, WandbWriter, MLflowWriter, TensorboardXWriter]
    assert kinds(build_writers(str(tmp_path), 9, backends=backends)) == expected


@pytest.mark.parametrize("backends", [["wandb", "tensorbord"], "wandb"])
def test_unknown_names(tmp_path, backends):
    with pytest.raises(ValueError, match=r"`backends` must .*'tensorboard', 'wandb', 'mlflow'"):
        build_writers(str(tmp_path), 9, backends=backends)


@pytest.mark.parametrize("name", ["wandb", "mlflow", "tensorboard"])
def test_a_missing_package_is_named_with_its_cure(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(ValueError, match=f"pip install {name}"):
        build_writers(str(tmp_path), 9, backends=[name])


def test_a_folder_named_wandb_is_not_the_package(tmp_path, monkeypatch):
    """W&B makes a folder of its name where it runs, which Python imports as an empty package."""
    (tmp_path / "wandb").mkdir()
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    with pytest.raises(ValueError, match="pip install wandb"):
        build_writers(str(tmp_path), 9, backends=["wandb"])


def test_only_the_main_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(comm, "is_main_process", lambda: False)
    assert build_writers(str(tmp_path / "new"), 9) == []
    assert not (tmp_path / "new").exists()


def test_flat_settings():
    cfg = get_cfg()
    flat = flat_settings(cfg)
    assert flat["SOLVER.BASE_LR"] == cfg.SOLVER.BASE_LR
    assert flat["DATASETS.TRAIN"] == cfg.DATASETS.TRAIN
    lazy = OmegaConf.create({"amp": {"enabled": True}, "x": [1, 2], "y": None, "z": "${x}"})
    expected = {"amp.enabled": True, "x": [1, 2], "y": None, "z": [1, 2]}
    assert flat_settings(lazy) == expected
    assert flat_settings({"target": {"class": dict}}) == {"target.class": "<class 'dict'>"}
