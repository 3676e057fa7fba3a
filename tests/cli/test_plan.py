"""`fcos plan`, and `fcos train FOLDER`, which does what it says."""

import json

import pytest
from made_sets import Kind, draw, make_set

from fcos_cli.main import main
from fcos_d2 import model_zoo
from fcos_d2.config_files import same_config

TINY = ["--start", "scratch", "--epochs", "1", "DATALOADER.NUM_WORKERS", "0"]
TINY += ["SOLVER.IMS_PER_BATCH", "2", "TEST.EVAL_PERIOD", "0", "MODEL.DEVICE", "cpu"]


@pytest.fixture
def birds(tmp_path, monkeypatch):
    """A folder with three sets, in the folder where the commands run."""
    monkeypatch.chdir(tmp_path)
    for seed, (name, number) in enumerate({"train": 4, "valid": 2, "test": 2}.items()):
        coco = make_set(Kind((64, 64), 2, (20, 20), (40, 40), ("left wing", "beak"), number), seed)
        folder = tmp_path / "birds" / name
        draw(coco, folder)
        (folder / "_annotations.coco.json").write_text(json.dumps(coco))
    return tmp_path


def test_a_plan_is_said_and_written(birds, capsys):
    assert not main(["plan", "birds", "--no-timing", "--output", "plan.yaml", *TINY])
    said = capsys.readouterr().out
    assert "4 images, mostly 64 x 64 px; 8 objects of 2 classes (left wing, beak)" in said
    assert "left wing: mirrored, they are something else" in said and "wrote plan.yaml" in said
    cfg = model_zoo.get_config("plan.yaml")
    assert cfg.SOLVER.MAX_ITER == 2 and cfg.OUTPUT_DIR == "output/birds"
    assert str(birds / "birds") == cfg.DATASETS.OWN.FOLDER
    assert not (birds / "output").exists()


def test_training_does_what_is_planned(birds, capsys):
    assert main(["train", "birds", *TINY]) == 0
    said = capsys.readouterr().out
    assert "iteration" in said and "wrote output/birds/config.yaml" in said
    assert "test set" in said and "model_final.pth" in said
    text = (birds / "output/birds/config.yaml").read_text()
    assert text.startswith("# Planned by fcos_d2") and "# mirrored: none" in text
    first = model_zoo.get_config("output/birds/config.yaml")
    assert first.INPUT.RANDOM_FLIP == "none" and first.SOLVER.MAX_ITER == 2
    assert first.DATASETS.TRAIN == ("own_train",) and first.DATASETS.TEST == ("own_val",)
    log = (birds / "output/birds/log.txt").read_text()

    # Named, the config gives the same run: the same data, and so the same losses.
    again = ["train", "--config", "output/birds/config.yaml", "--output", "again"]
    assert main(again) == 0
    second = model_zoo.get_config("again/config.yaml")
    second.OUTPUT_DIR = first.OUTPUT_DIR
    assert same_config(first, second) and "own_test" in log

    # It is finished: resuming says so, plans nothing, and keeps the comments.
    capsys.readouterr()
    assert main(["train", "birds", "--resume"]) == 0
    said = capsys.readouterr().out
    assert "already finished" in said and "learns" not in said
    assert (birds / "output/birds/config.yaml").read_text() == text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["plan"], 2, "a folder of data is missing, or --train-data"),
        (["train"], 2, "a folder of data is missing, or --config"),
        (["plan", "nowhere"], 2, "nowhere: no such folder of data"),
        (["plan", "birds", "--epochs", "1", "--budget", "5m"], 1, "leave one out"),
        (["plan", "birds", "--epochs", "1", "SOLVER.NOTHING", "1"], 1, "SOLVER.NOTHING"),
        (["train", "birds", "--resume"], 1, "--resume: there is no output/birds/config.yaml"),
    ],
)
def test_mistakes(birds, capsys, words, code, message):
    assert main(words) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "many"])
def test_epochs(value, capsys):
    with pytest.raises(SystemExit):
        main(["plan", "x", f"--epochs={value}"])
    assert f"{value!r} is no number above 0" in capsys.readouterr().err
