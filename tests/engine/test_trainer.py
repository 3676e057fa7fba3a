"""The parts of the yaml trainer that a run shows in what it saves."""

import pytest
import torch
from detectron2.utils.events import EventStorage
from tiny_run import tiny_command, train_request

from fcos_d2 import model_zoo
from fcos_d2.engine import run
from fcos_d2.engine.trainer import Trainer


@pytest.mark.parametrize("ema", [False, True])
def test_precise_statistics_are_those_of_the_model_that_is_saved(tmp_path, ema):
    """Mean and variance of the first norm over all six pictures, as the saved weights give them."""
    overrides = {
        "SOLVER.EMA.ENABLED": ema,
        "SOLVER.BASE_LR": 0.5,
        "SOLVER.WARMUP_ITERS": 0,
        "TEST.PRECISE_BN.ENABLED": True,
        "TEST.PRECISE_BN.NUM_ITER": 3,
        "INPUT.RANDOM_FLIP": "none",
    }
    command = tiny_command(tmp_path / "data", tmp_path / "out", 2, **overrides)
    run(train_request(command))

    cfg = model_zoo.get_config(str(tmp_path / "out" / "config.yaml"))
    model = Trainer.build_model(cfg).train()
    saved = torch.load(tmp_path / "out" / "model_final.pth")["model"]
    model.load_state_dict(saved)
    seen = []
    norm = model.backbone.bottom_up.stem.conv1.norm
    norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    batches = iter(Trainer.build_train_loader(cfg))
    with torch.no_grad(), EventStorage():
        for _ in range(3):
            model(next(batches))
    values = torch.cat([x.transpose(0, 1).flatten(1) for x in seen], dim=1)  # (C, everywhere)
    name = "backbone.bottom_up.stem.conv1.norm.running_"
    torch.testing.assert_close(saved[f"{name}mean"], values.mean(dim=1), rtol=1e-4, atol=1e-3)
    variance = values.var(dim=1, correction=0)
    torch.testing.assert_close(saved[f"{name}var"], variance, rtol=1e-4, atol=1e-3)


def test_a_run_without_weights_freezes_nothing(tmp_path):
    """Frozen stages and norms of random numbers learn; the checkpoint is read as any other."""
    overrides = {
        "MODEL.WEIGHTS": "",
        "MODEL.BACKBONE.FREEZE_AT": 2,
        "MODEL.RESNETS.NORM": "FrozenBN",
        "SOLVER.WARMUP_ITERS": 0,
    }
    command = tiny_command(tmp_path / "data", tmp_path / "out", 1, **overrides)
    run(train_request(command))
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "weights (MODEL.WEIGHTS) is empty, so 5 tensors and 20 norms" in log
    saved = torch.load(tmp_path / "out" / "model_final.pth")["model"]
    norm = "backbone.bottom_up.stem.conv1.norm."
    assert saved[f"{norm}num_batches_tracked"] == 1 and saved[f"{norm}running_mean"].any()
    assert not saved[f"{norm}bias"].equal(torch.zeros(64))

    overrides["MODEL.WEIGHTS"] = tmp_path / "out" / "model_final.pth"
    command = tiny_command(tmp_path / "data", tmp_path / "eval", 1, "--eval-only", **overrides)
    run(train_request(command))
    log = (tmp_path / "eval" / "log.txt").read_text()
    assert "tensors loaded, all there are" in log and "would stay frozen" not in log


def test_example_images_of_a_run_are_drawn(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(EventStorage, "put_image", lambda self, name, image: drawn.append(name))
    overrides = {"LOGGING.IMAGES": 2, "TEST.EVAL_PERIOD": 1}
    run(train_request(tiny_command(tmp_path / "data", tmp_path / "out", 1, **overrides)))
    assert len(drawn) == 2


@pytest.mark.parametrize(("share", "seen"), [(0.0, 4), (0.5, 2), (1.0, 0)])
def test_the_last_share_of_a_run_changes_no_statistics(tmp_path, share, seen):
    """A norm counts the batches that it has learned from; an evaluation comes in between."""
    overrides = {"SOLVER.FIXED_STATISTICS_SHARE": share, "TEST.EVAL_PERIOD": 3}
    run(train_request(tiny_command(tmp_path / "data", tmp_path / "out", 4, **overrides)))
    saved = torch.load(tmp_path / "out" / "model_final.pth")["model"]
    assert saved["backbone.bottom_up.stem.conv1.norm.num_batches_tracked"] == seen
