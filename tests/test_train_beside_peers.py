"""`peers-training`: the peers, the plain loop, and the command over two iterations."""

import json
import math
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import __main__ as benchmark
from benchmarks import train_beside_peers as beside
from benchmarks.intervals import half_width, mean_and_interval
from benchmarks.peer_models import MODELS, _instances
from benchmarks.plain_training import Plain, train
from tests.support.tiny_run import TINY_MODEL, make_tiny_coco

CONFIG = "Recipes/R18-Scratch"


class Line(nn.Module):
    """A "detector" with one weight, whose loss is its square."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))
        self.rates: list[float] = []

    def forward(self, batch: list[dict]) -> dict[str, torch.Tensor]:
        return {"loss": self.weight**2 * batch[0]["factor"]}


def endless(factor: float = 1.0):
    while True:
        yield [{"factor": factor}]


def test_interval_on_paper():
    # Standard deviation 1, so 4.303 / sqrt(3).
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(2.4843, abs=1e-4)
    assert mean_and_interval([1.0, 2.0, 3.0]) == "2.0 ± 2.5"
    assert (mean_and_interval([1.25]), mean_and_interval([])) == ("1.2", "-")


def test_rate_warms_up_and_ends_at_nothing():
    plain = Plain(iterations=100, rate=0.5, warmup=10)
    assert plain.rate_at(0, 0.0) == pytest.approx(0.05)
    assert plain.rate_at(50, 0.5) == pytest.approx(0.25)
    assert plain.rate_at(99, 1.0) == pytest.approx(0.0)
    with pytest.raises(ValueError, match="either"):
        Plain()


def test_time_ends_a_training_however_slow_its_steps_are():
    ticks = iter(range(1000))
    trained = train(Line(), endless(), Plain(seconds=10), now=lambda: next(ticks))
    # The clock is read at the start, before each step and at the end.
    assert trained == (9, 11.0)


def test_steps_go_down():
    model = Line()
    assert train(model, endless(), Plain(iterations=30, rate=0.1, warmup=1)).iterations == 30
    assert abs(model.weight.item()) < 0.5


def test_loss_that_is_no_number_ends_the_training():
    with pytest.raises(ValueError, match="nan in iteration 0"):
        train(Line(), endless(math.nan), Plain(iterations=3))


def test_boxes_of_torchvision_are_those_of_the_original_image():
    found = {
        "boxes": torch.tensor([[10.0, 4.0, 20.0, 16.0]]),
        "scores": torch.tensor([0.5]),
        "labels": torch.tensor([2]),
    }
    # The network saw 32 x 64 px of an image of 64 x 192.
    given = {"height": 64, "width": 192}
    output = _instances(given, torch.zeros(3, 32, 64), found)
    assert output.image_size == (64, 192)
    assert output.pred_boxes.tensor.tolist() == [[30.0, 8.0, 60.0, 32.0]]
    assert (output.scores.tolist(), output.pred_classes.tolist()) == ([0.5], [2])


def result(subject: str, seed: int, ap: float) -> dict:
    numbers = dict.fromkeys(beside.METRICS, ap)
    return {"subject": subject, "seed": seed, "iterations": 10, "val": numbers}


def test_table_compares_seed_by_seed():
    results = [result(beside.OURS, 1, 50.0), result(beside.OURS, 2, 54.0)]
    results += [result("torchvision", 1, 49.0), result("torchvision", 2, 55.0)]
    ours, peer = beside.table(results).splitlines()[2:]
    assert ours == "| val | fcos_d2 | 2 | 10 | 52.0 ± 25.4 | 52.0 ± 25.4 | 52.0 ± 25.4 |  |  |"
    assert peer.endswith("| 0.0 ± 12.7 | 1 of 2 |")


def test_nothing_found_is_an_ap_of_0():
    found = beside._numbers({"val": {"bbox": dict.fromkeys(beside.METRICS, math.nan)}})
    nothing = {"AP": 0.0, "AP50": 0.0, "AP75": 0.0, "APs": None, "APm": None, "APl": None}
    assert found == {"val": nothing}


def as_dict(words: list[str]) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2], strict=True))


def test_recipe_is_switched_off_for_the_peers():
    settings = as_dict(beside.plain_settings(CONFIG, None, 3))
    assert settings["INPUT.MIN_SIZE_TRAIN"] == "(224,)" and settings["INPUT.MIN_SIZE_TEST"] == "224"
    assert settings["INPUT.MIX.MOSAIC_PROB"] == "0.0" and settings["SEED"] == "3"
    assert as_dict(beside.plain_settings(CONFIG, 64, 3))["INPUT.MIN_SIZE_TRAIN"] == "(64,)"


@pytest.mark.parametrize(
    ("length", "words", "expected"),
    [
        ({"minutes": 2.5}, [], ["--budget", "150s", "--opts", "SEED", "4"]),
        (
            {"iterations": 7},
            ["--config", "X", "--opts", "A", "1"],
            ["--config", "X", "--opts", "A", "1", "SEED", "4", "SOLVER.MAX_ITER", "7"],
        ),
    ],
)
def test_arguments_of_ours(length: dict, words: list[str], expected: list[str]):
    given = dict.fromkeys((*beside.DATA, "minutes", "iterations"))
    arguments = Namespace(**given | length | {"folder": "birds", "words": words})
    found = beside.ours_words(arguments, Path("out"), 4)
    assert found == ["birds", "--output", "out", *expected]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """The arguments and the folder of two iterations of all subjects on six pictures."""
    folder = tmp_path_factory.mktemp("peers")
    for split in ("train", "valid", "test"):
        made = make_tiny_coco(folder / "data" / split)[0]
        Path(made).rename(folder / "data" / split / "_annotations.coco.json")
    opts = [str(word) for item in TINY_MODEL.items() for word in item if item[0] != "SEED"]
    arguments = ["peers-training", "--iterations", "2", "--seeds", "1", "--threads", "1"]
    arguments += ["--output", str(folder / "out"), "--size", "64"]
    arguments += ["--data", str(folder / "data")]
    arguments += ["--subjects", beside.OURS, *beside.PLAIN]
    arguments += ["--", "--config", CONFIG, "--opts", *opts]
    assert benchmark.main(arguments) == 0
    return arguments, folder / "out"


@pytest.mark.slow
def test_all_subjects_train_and_are_measured(trained: tuple[list[str], Path]):
    results = json.loads((trained[1] / "results.json").read_text())
    assert [x["subject"] for x in results] == [beside.OURS, *beside.PLAIN]
    for found in results:
        assert found["iterations"] == 2 and found["seconds"] > 0
        assert set(found["val"]) == set(found["test"]) == set(beside.METRICS)
    assert len((trained[1] / "table.md").read_text().splitlines()) == 2 + 2 * len(results)


@pytest.mark.slow
def test_what_is_done_is_not_done_again(trained: tuple[list[str], Path], monkeypatch, capsys):
    monkeypatch.setattr(beside, "_ours", None)
    monkeypatch.setattr(beside, "_peer", None)
    assert benchmark.main(trained[0]) == 0
    assert "| val | torchvision | 1 | 2 |" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_peers_share_all_but_the_head(name: str, trained: tuple[list[str], Path]):
    run = beside.prepare(
        beside.Request(
            config_file=str(trained[1] / beside.OURS / "1/run/config.yaml"),
            output_dir=str(trained[1] / name),
            folder=trained[0][trained[0].index("--data") + 1],
        )
    )
    ours, peer = run.build_model(), MODELS[name](run)
    prefix = {"detectron2": "backbone.", "torchvision": "detector.backbone.backbone."}[name]
    shapes = {k: v.shape for k, v in ours.backbone.state_dict().items()}
    found = {k.removeprefix(prefix): v.shape for k, v in peer.state_dict().items() if prefix in k}
    assert found == shapes
    # One convolution in each tower, as in the config, and three that predict.
    head = peer.head if name == "detectron2" else peer.detector.head
    assert sum(isinstance(x, nn.Conv2d) for x in head.modules()) == 2 + 3


def test_no_data(capsys):
    assert benchmark.main(["peers-training", "--iterations", "2"]) != 0
    assert "no data given" in capsys.readouterr().err
