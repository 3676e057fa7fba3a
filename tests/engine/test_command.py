"""Runs as a command starts them: what they say, and how they end."""

import logging
import math

import pytest
import torch
from detectron2.utils import comm
from tiny_run import make_tiny_coco, tiny_command, train_request

from fcos_cli.train_net import main
from fcos_d2 import model_zoo
from fcos_d2.engine import Trainer, TrainingDiverged, run
from fcos_d2.engine.divergence import one_rank_tells
from fcos_d2.engine.step import StepTrainer


@pytest.fixture(autouse=True)
def forget_handlers():
    """They write to the streams of this test."""
    yield
    for name in ("fcos_d2", "fvcore", "detectron2"):
        logging.getLogger(name).handlers.clear()


def lazy_command(tmp_path, max_iter, *flags):
    """A run on `make_tiny_coco` from a python config."""
    json_file, images = make_tiny_coco(tmp_path / "data")
    generator = "model.proposal_generator"
    data = ["--train-data", json_file, "--train-images", images]
    overrides = [
        f"train.output_dir={tmp_path / 'out'}",
        "train.init_checkpoint=",
        f"train.max_iter={max_iter}",
        "train.device=cpu",
        "train.seed=1",
        "train.checkpointer.period=2",
        "dataloader.train.num_workers=0",
        "dataloader.train.total_batch_size=2",
        "dataloader.train.mapper.augmentations.0.short_edge_length=[64]",
        "model.backbone.out_channels=32",
        f"{generator}.head.in_channels=32",
        f"{generator}.head.num_cls_convs=1",
        f"{generator}.head.num_box_convs=1",
    ]
    return ["--config-file", "lazy/Recipes/R18-Scratch", *data, *flags, *overrides]


def test_a_training_speaks_to_a_person(tmp_path, capsys):
    """At most 30 lines before the progress and 10 after it; everything else is in log.txt."""
    overrides = {"SOLVER.CHECKPOINT_PERIOD": 2, "MODEL.FCOS.INFERENCE_TH_TEST": 0.0}
    overrides |= {"TEST.SCORE_THRESH": 0.4}
    results = run(train_request(tiny_command(tmp_path / "data", tmp_path / "out", 3, **overrides)))
    lines = capsys.readouterr().out.splitlines()
    progress = [i for i, line in enumerate(lines) if "iter: " in line]
    before, after = lines[: progress[0]], lines[progress[-1] + 1 :]
    assert 6 <= len(before) <= 30 and 5 <= len(after) <= 10
    assert "\x1b" not in "".join(lines)
    said = "\n".join(before)
    for words in (
        "score_thresh (TEST.SCORE_THRESH) is 0.4, perhaps chosen for other weights",
        f"{tmp_path}/data/annotations.json: 6 images, 1 class (white thing)",
        "11.3 M parameters",
        "3 iterations of 2 images (1.0 epochs), AdamW, learning rate 0.001",
        "cpu, 1 process, float32",
        f"{tmp_path}/out (log.txt",
    ):
        assert words in said, words
    ap = results["bbox"]["AP"]
    said = "\n".join(after)
    assert f"bbox AP {ap:.1f}" in said and f"model_best.pth: bbox/AP {ap:.1f}" in said
    assert f"fcos predict IMAGE --weights {tmp_path}/out/model_best.pth" in said
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "\x1b" not in log and "Environment info:" in log and "fcos_lateral" not in said
    assert log.count("\n") > 400 and "Running with full config:" in log and "SEED: 1" in log


def test_verbose_brings_all_back(tmp_path, capsys):
    command = tiny_command(tmp_path / "data", tmp_path / "out", 1, "--verbose")
    run(train_request(command))
    shown, log = capsys.readouterr().out, (tmp_path / "out" / "log.txt").read_text()
    assert "Environment info:" in shown and "\x1b" not in shown
    assert abs(shown.count("\n") - log.count("\n")) < 5


def test_a_lazy_run_goes_on(tmp_path, monkeypatch):
    """Where the mark of the last checkpoint is gone, too; bit for bit as a run without a stop."""
    run(train_request(lazy_command(tmp_path / "whole", 4)))
    run_step = StepTrainer.run_step

    def killed_in_the_last_step(self):
        if self.iter == 3:
            raise KeyboardInterrupt
        run_step(self)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(StepTrainer, "run_step", killed_in_the_last_step)
        run(train_request(lazy_command(tmp_path, 4)))
    (tmp_path / "out" / "last_checkpoint").unlink()
    run(train_request(lazy_command(tmp_path, 4, "--resume")))
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "Starting training from iteration 2" in log
    unbroken, resumed = (
        torch.load(folder / "out" / "model_final.pth") for folder in (tmp_path / "whole", tmp_path)
    )
    torch.testing.assert_close(resumed["model"], unbroken["model"], rtol=0, atol=0)
    assert resumed["trainer"]["iteration"] == 3


def test_a_lazy_run_of_before_goes_on(tmp_path):
    """Its checkpoint has the state of the step beside the iteration."""
    run(train_request(lazy_command(tmp_path, 2)))
    path = tmp_path / "out" / "model_final.pth"
    checkpoint = torch.load(path)
    checkpoint["trainer"] |= checkpoint["trainer"].pop("_trainer")
    torch.save(checkpoint, path)
    run(train_request(lazy_command(tmp_path, 3, "--resume")))
    after = torch.load(path)["trainer"]
    assert after["iteration"] == 2
    steps = {x["step"].item() for x in after["_trainer"]["optimizer"]["state"].values()}
    assert steps == {3.0}  # AdamW's count went on


def diverge(monkeypatch):
    """The second step gives no number."""
    accumulate = StepTrainer.accumulate

    def step(self, batches):
        losses = accumulate(self, batches)
        return {name: loss * math.nan if self.iter else loss for name, loss in losses.items()}

    monkeypatch.setattr(StepTrainer, "accumulate", step)


def test_a_diverging_training_is_an_error_with_one_line(tmp_path, monkeypatch, capsys):
    command = tiny_command(tmp_path / "data", tmp_path / "out", 3)
    diverge(monkeypatch)
    with pytest.raises(
        TrainingDiverged, match=r"at iteration 1, .*lower base_lr \(SOLVER.BASE_LR\),"
    ):
        run(train_request(command))
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 1
    shown = capsys.readouterr()
    assert shown.err.count("Training diverged on rank 0") == 1 and "Traceback" not in shown.err
    assert "diverged" not in shown.out
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "ERROR: Training diverged on rank 0" in log and "Traceback" not in log


def test_of_several_ranks_one_tells(monkeypatch):
    def fail():
        with one_rank_tells():
            raise TrainingDiverged("once")

    with pytest.raises(TrainingDiverged, match="once"):
        fail()
    monkeypatch.setattr(comm, "is_main_process", lambda: False)
    with pytest.raises(SystemExit) as stopped:
        fail()
    assert stopped.value.code == 1


def test_a_run_that_gets_no_better_ends_well(tmp_path, capsys):
    """Also where a library calls the trainer itself, with a wide `except`."""
    overrides = {"TEST.EVAL_PERIOD": 1, "TEST.EARLY_STOP_PATIENCE": 1, "SOLVER.BASE_LR": 1e-12}
    overrides |= {"MODEL.FCOS.INFERENCE_TH_TEST": 0.0}
    command = tiny_command(tmp_path / "data", tmp_path / "out", 9, **overrides)
    results = run(train_request(command))
    assert "AP" in results["bbox"]
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "no better bbox/AP in 1 evaluations" in log and "Exception during training" not in log
    assert torch.load(tmp_path / "out" / "model_final.pth")["iteration"] < 8
    cfg = model_zoo.get_config(str(tmp_path / "out" / "config.yaml"))
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    try:
        trainer.train()
    except Exception as error:
        pytest.fail(f"{error!r} left the trainer")
    assert trainer.iter < 8
