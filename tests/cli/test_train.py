"""From data to a detector and back by commands alone, in another folder, on tiny pictures."""

import json
from pathlib import Path

import pytest
import torch
from tiny_run import TINY_MODEL, make_tiny_coco

from fcos_cli import train_net, training
from fcos_cli.commands import compare_recipes, quickstart
from fcos_cli.exit_codes import FAILED, WRONG_USE
from fcos_cli.main import main
from fcos_cli.training import request_of
from fcos_d2.datasets import shapes

OPTS = [str(word) for item in TINY_MODEL.items() for word in item]


pytestmark = pytest.mark.usefixtures("elsewhere")


def test_train_eval_predict(elsewhere, capsys):
    make_tiny_coco(Path("data"))
    data, weights = ["data/annotations.json", "--images", "data"], "made/model_final.pth"
    own = ["--train-data", "data/annotations.json", "--val-data", "data/annotations.json"]
    command = ["train", "--config", "Recipes/R18-Scratch", *own, "--output", "made"]
    assert main([*command, "--device", "cpu", "SOLVER.MAX_ITER", "2", *OPTS]) == 0
    assert torch.load(weights)["class_names"] == ["white thing"]
    lowest = ["MODEL.FCOS.INFERENCE_TH_TEST", "0.0"]
    evaluation = ["eval", "--weights", weights, "--data", *data, "--output", "evaluated"]
    assert main([*evaluation, *lowest]) == 0
    rows = json.loads(Path("evaluated/inference/coco_instances_results.json").read_text())
    assert {row["category_id"] for row in rows} == {5}
    predict = ["predict", "data", "--weights", weights, "--output", "drawn"]
    assert main([*predict, "--threshold", "0.0"]) == 0
    assert len(list(Path("drawn").iterdir())) == 6
    assert "6 of 6 images drawn" in capsys.readouterr().out
    assert sorted(x.name for x in elsewhere.iterdir()) == ["data", "drawn", "evaluated", "made"]


def test_bad_input_is_one_line(capsys):
    with pytest.raises(SystemExit) as info:  # of the process that trains
        main(["train", "--config", "Recipes/R18-Scratch", "--train-data", "nowhere.json"])
    assert info.value.code == FAILED
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: nowhere.json: no such file")


def test_quickstart(monkeypatch, capsys):
    monkeypatch.setattr(shapes, "NUM_IMAGES", {"train": 4, "val": 2})
    monkeypatch.setattr(quickstart, "NUM_PICTURES", 2)
    short = ["SOLVER.BUDGET", "0.0", "SOLVER.MAX_ITER", "1"]
    assert main(["quickstart", "--output", "made", *OPTS, *short]) == 0
    assert Path("datasets/shapes/shapes.json").is_file()
    assert Path("made/predictions.png").is_file() and Path("made/training.png").is_file()
    said = capsys.readouterr().out
    assert "fcos predict IMAGE --weights made/model_final.pth" in said
    assert "shapes" in said and "7 min" in said  # the plan


def test_the_flags_of_train_net():
    words = "--config-file FCOS-RT/R50 --eval-only --num-gpus 2 --train-json t.json --val-data v"
    words += " --val-images i --resume --dist-url tcp://x:1 MODEL.WEIGHTS m.pth SEED -1"
    arguments = train_net.parser().parse_args(words.split())
    request = request_of(arguments, output_dir=None, eval_only=arguments.eval_only)
    assert request.config_file == "FCOS-RT/R50" and request.eval_only and request.resume
    assert (request.train_data, request.val_data, request.val_images) == ("t.json", "v", "i")
    assert (request.num_gpus, request.dist_url) == (2, "tcp://x:1")
    assert request.opts == ["MODEL.WEIGHTS", "m.pth", "SEED", "-1"]


def test_results_are_no_exit_code(monkeypatch):
    """A process that has evaluated ends well."""
    monkeypatch.setattr(training, "run", lambda request: {"bbox": {"AP": 12.0}})
    assert training.process(None) is None


def test_train_net_without_a_config(capsys):
    assert train_net.main([]) == WRONG_USE
    assert capsys.readouterr().err == ("error: --config-file is missing; see train_net.py --help\n")


def finished(monkeypatch) -> list[list[str]]:
    """Runs of `fcos train` that are done at once; returns their commands."""
    commands = []

    def run(command, **_):
        commands.append(command)
        folder = Path(command[command.index("OUTPUT_DIR") + 1])
        (folder / "model_final.pth").touch()
        ap = 10 * len(commands)
        (folder / "metrics.json").write_text(json.dumps({"bbox/AP": ap, "bbox/AP50": ap + 1}))
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(compare_recipes.subprocess, "run", run)
    return commands


def test_recipes_are_compared(monkeypatch, capsys):
    commands = finished(monkeypatch)
    variants = ["--variant", "base", "--variant", "more: SEED 3 SOLVER.BASE_LR 1"]
    command = ["compare-recipes", "--output", "made", *variants, "--seeds", "1", "2"]
    command += ["--metrics", "bbox/AP", "--", "--config", "X"]
    assert main(command) == 0
    # Seed by seed: base 10 and 30, more 20 and 40; their deviation is the root of 200.
    assert "| base | 2 | 20.0 ± 14.1 |\n| more | 2 | 30.0 ± 14.1 |" in capsys.readouterr().out
    assert "| base | 2 |" in Path("made/table.md").read_text()
    assert commands[1][1:] == [
        *("-m", "fcos_cli", "train", "--resume", "--config", "X", "OUTPUT_DIR", "made/more/1"),
        *("SEED", "1", "SEED", "3", "SOLVER.BASE_LR", "1"),
    ]
    assert main(command) == 0
    assert len(commands) == 4, "a run that is done is not done again"


def test_recipes_of_one_name(capsys):
    command = ["compare-recipes", "--output", "made", "--variant", "a", "--variant", "a: X 1"]
    assert main(command) == WRONG_USE
    assert "two variants have the same name" in capsys.readouterr().err
