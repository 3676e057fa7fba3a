"""Whole runs through the command line, on a dataset of six pictures."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_run import TINY_MODEL, make_tiny_coco, tiny_command, train_request

from fcos_d2.engine import run
from fcos_d2.engine.step import StepTrainer
from fcos_d2.visualization.plots import read_metrics

ROOT = Path(__file__).parents[2]


def start(folder, output, max_iter, *flags, **overrides):
    command = tiny_command(folder, output, max_iter, *flags, **overrides)
    return run(train_request(command))


def test_train_resume_evaluate(tmp_path):
    """Four iterations, then on to six; evaluating the checkpoint repeats the result."""
    overrides = {"MODEL.FCOS.INFERENCE_TH_TEST": 0.0, "SOLVER.CHECKPOINT_PERIOD": 2}
    start(tmp_path / "data", tmp_path / "out", 4, **overrides)
    results = start(tmp_path / "data", tmp_path / "out", 6, "--resume", **overrides)
    checkpoint = torch.load(tmp_path / "out" / "model_final.pth")
    assert checkpoint["trainer"]["iteration"] == 5
    assert checkpoint["class_names"] == ["white thing"]
    logged = [r["iteration"] for r in read_metrics(tmp_path / "out" / "metrics.json")]
    assert logged[0] == 3 and 5 in logged and max(logged) <= 6
    weights = str(tmp_path / "out" / "model_final.pth")
    again = start(
        tmp_path / "data",
        tmp_path / "eval",
        0,
        "--eval-only",
        **overrides | {"MODEL.WEIGHTS": weights},
    )
    # NaN where there is no box of a size
    assert again["bbox"] == pytest.approx(results["bbox"], nan_ok=True, abs=0)
    detections = tmp_path / "eval" / "inference" / "coco_instances_results.json"
    assert {d["category_id"] for d in json.loads(detections.read_text())} == {5}


def kill_after(steps, monkeypatch):
    """Ends a run as a signal does, in the middle of a step."""
    run_step, done = StepTrainer.run_step, []

    def step(self):
        done.append(1)
        if len(done) > steps:
            raise KeyboardInterrupt
        run_step(self)

    monkeypatch.setattr(StepTrainer, "run_step", step)


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_resumed_run_equals_an_unbroken_one(tmp_path, monkeypatch, optimizer):
    """Killed in the sixth of 8 iterations, 2 after a checkpoint: all that the last checkpoint holds
    is the same, bit for bit, with flips, two sizes, accumulation and the mean of the weights on.
    """
    overrides = {
        "SOLVER.OPTIMIZER": optimizer,
        "SOLVER.CHECKPOINT_PERIOD": 4,
        "SOLVER.ACCUMULATE_STEPS": 2,
        "SOLVER.EMA.ENABLED": True,
        "SOLVER.WARMUP_ITERS": 3,
        "INPUT.MIN_SIZE_TRAIN": "(64, 96)",
    }
    start(tmp_path / "data", tmp_path / "a", 8, **overrides)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        kill_after(5, patch)
        start(tmp_path / "data", tmp_path / "b", 8, **overrides)
    assert not (tmp_path / "b" / "model_final.pth").exists()
    start(tmp_path / "data", tmp_path / "b", 8, "--resume", **overrides)
    unbroken, resumed = (
        torch.load(tmp_path / name / "model_final.pth", weights_only=False) for name in ("a", "b")
    )
    assert resumed["trainer"]["hooks"]["WeightAverage"] == {"num_updates": 8}
    assert unbroken.keys() == resumed.keys() >= {"model", "model_in_training", "trainer"}
    assert unbroken.pop("class_names") == resumed.pop("class_names")
    torch.testing.assert_close(resumed, unbroken, rtol=0, atol=0)


def test_results_carry_the_ids_of_the_file(tmp_path, shared_dir):
    """Texts, and numbers that no float64 holds; through training and evaluation."""
    source = shared_dir / "data" / "bug_inputs" / "04-coco-text-ids"
    content = json.loads((source / "train.json").read_text())
    texts = [image["id"] for image in content["images"]]
    other = {texts[0]: 2**53 + 1, texts[1]: 2**53 + 2}  # in the validation set
    for image in content["images"]:
        image["id"] = other.get(image["id"], image["id"])
    for annotation in content["annotations"]:
        annotation["image_id"] = other.get(annotation["image_id"], annotation["image_id"])
        annotation["category_id"] = {1: "b", 2: "a"}[annotation["category_id"]]
    content["categories"] = [{"id": "b", "name": "cat"}, {"id": "a", "name": "dog"}]
    val = tmp_path / "val.json"
    val.write_text(json.dumps(content))
    data = ["--train-data", str(source / "train.json"), "--train-images", f"{source}/images"]
    data += ["--val-data", str(val), "--val-images", f"{source}/images"]
    settings = TINY_MODEL | {"OUTPUT_DIR": str(tmp_path), "SOLVER.MAX_ITER": 1}
    settings |= {"TEST.EVAL_PERIOD": 1, "MODEL.FCOS.INFERENCE_TH_TEST": 0.0}
    opts = [str(word) for item in settings.items() for word in item]
    command = ["--config-file", "Recipes/R18-Scratch", *data, *opts]
    run(train_request(command))
    rows = json.loads((tmp_path / "inference" / "coco_instances_results.json").read_text())
    assert {row["image_id"] for row in rows} == {2**53 + 1, 2**53 + 2, *texts[2:]}
    assert {row["category_id"] for row in rows} == {"a", "b"}


@pytest.mark.parametrize(
    ("flags", "overrides", "message"),
    [
        ([], {"MODEL.FCOS.NUM_CLASSES": 80}, "NUM_CLASSES is given as 80.*have 1 classes"),
        (["--eval-only"], {"MODEL.WEIGHTS": "no.pth"}, "no.pth: no such checkpoint"),
        ([], {"SOLVER.OPTIMIZER": "Lion"}, "one of .*'AdamW'.*got 'Lion'"),
        (
            [],
            {"SOLVER.AMP.ENABLED": True, "SOLVER.AMP.PRECISION": "fp16"},
            "fp16 needs a CUDA device; on the CPU.*bf16",
        ),
        ([], {"SOLVER.AMP.ENABLED": True, "SOLVER.AMP.PRECISION": "int4"}, "one of .*'bf16'.*int4"),
        ([], {"SOLVER.ACCUMULATE_STEPS": 3}, "2 images .*1 processes x 3 steps"),
        ([], {"SOLVER.LAYER_DECAY": 0.0}, r"in \(0, 1\], got 0.0"),
        ([], {"TEST.BEST_METRIC": "bbox/AP05"}, "'bbox/AP05', which .* not give; it gives bbox/AP"),
        ([], {"TEST.EARLY_STOP_PATIENCE": 2}, "is 2; it needs evaluations.*EVAL_PERIOD.* is 0"),
    ],
)
def test_mistakes_are_named(tmp_path, flags, overrides, message):
    with pytest.raises(ValueError, match=message):
        start(tmp_path / "data", tmp_path / "out", 1, *flags, **overrides)


def test_message_without_stack_trace(tmp_path):
    command = [sys.executable, str(ROOT / "train_net.py"), "--config-file", "nowhere.yaml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: nowhere.yaml: no such config")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_killed_run_goes_on_where_it_was(tmp_path):
    out = tmp_path / "out"
    overrides = {"SOLVER.CHECKPOINT_PERIOD": 5}
    command = tiny_command(tmp_path / "data", out, 10000, **overrides)
    training = subprocess.Popen([sys.executable, str(ROOT / "train_net.py"), *command])
    while not (out / "model_0000009.pth").exists():
        assert training.poll() is None
        time.sleep(0.05)
    os.kill(training.pid, signal.SIGKILL)
    training.wait()
    last = torch.load(out / (out / "last_checkpoint").read_text())["trainer"]["iteration"]
    start(tmp_path / "data", out, last + 3, "--resume", **overrides)
    assert torch.load(out / "model_final.pth")["trainer"]["iteration"] == last + 2
    log = (out / "log.txt").read_text()
    assert f"Starting training from iteration {last + 1}" in log


@pytest.mark.slow
def test_two_processes_train_and_evaluate(tmp_path):
    """30 iterations in two processes; their evaluation equals that of one process."""
    overrides = {"MODEL.FCOS.INFERENCE_TH_TEST": 0.0}
    command = tiny_command(tmp_path / "data", tmp_path / "out", 30, "--num-gpus", "2", **overrides)
    subprocess.run([sys.executable, str(ROOT / "train_net.py"), *command], check=True)
    in_two = {
        k: v
        for record in read_metrics(tmp_path / "out" / "metrics.json")
        for k, v in record.items()
        if k.startswith("bbox/")
    }
    weights = str(tmp_path / "out" / "model_final.pth")
    overrides["MODEL.WEIGHTS"] = weights
    in_one = start(tmp_path / "data", tmp_path / "one", 0, "--eval-only", **overrides)
    assert in_two["bbox/AP"] == pytest.approx(in_one["bbox"]["AP"])


def test_lazy_run(tmp_path):
    """The python route trains, evaluates and stores the class names, too."""
    json_file, images = make_tiny_coco(tmp_path / "data")
    generator = "model.proposal_generator"
    overrides = [
        f"train.output_dir={tmp_path / 'out'}",
        "train.init_checkpoint=",
        "train.max_iter=2",
        "train.device=cpu",
        "dataloader.train.num_workers=0",
        "dataloader.test.num_workers=0",
        "dataloader.train.total_batch_size=2",
        "dataloader.train.mapper.augmentations.0.short_edge_length=[64]",
        "dataloader.test.mapper.augmentations.0.short_edge_length=64",
        "model.backbone.out_channels=32",
        f"{generator}.head.in_channels=32",
        f"{generator}.head.num_cls_convs=1",
        f"{generator}.head.num_box_convs=1",
    ]
    flags = ["--train-json", json_file, "--train-images", images]
    flags += ["--val-json", json_file, "--val-images", images]
    command = ["--config-file", "lazy/FCOS-RT/R50", *flags, *overrides]
    results = run(train_request(command))
    assert "AP50" in results["bbox"]
    checkpoint = torch.load(tmp_path / "out" / "model_final.pth")
    assert checkpoint["class_names"] == ["white thing"]
    assert checkpoint["model"]["proposal_generator.fcos_head.cls_logits.bias"].shape == (1,)
