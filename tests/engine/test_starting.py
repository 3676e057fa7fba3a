"""A start by a word, for a config that names weights of its own."""

import pytest
import torch
import torchvision
from tiny_run import tiny_command, train_request

from fcos_d2.engine import Request, run
from fcos_d2.engine.starting import take_start


def test_a_file_or_nothing_in_the_place_of_the_configs(tmp_path):
    file = tmp_path / "model.pth"
    torch.save({}, file)
    for start, weights in ((str(file), str(file)), ("scratch", ""), (None, None)):
        request = Request(config_file="FCOS-RT/R50", start=start)
        take_start(request)
        assert request.weights == weights


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": "scratch", "weights": "a.pth"}, "--start scratch and --weights a.pth both say"),
        ({"start": "auto"}, "--start auto chooses a body .* coco, scratch or a file"),
        ({"start": "no.pth"}, "--start no.pth: no such file"),
        ({"start": "zoo://FCOS-RT/R50"}, "non-commercial .*--accept-noncommercial"),
    ],
)
def test_what_cannot_be(changes, said):
    with pytest.raises(ValueError, match=said):
        take_start(Request(config_file="FCOS-RT/R50", **changes))
    accepted = Request(
        config_file="FCOS-RT/R50", start="zoo://FCOS-RT/R50", accept_noncommercial=True
    )
    take_start(accepted)
    assert accepted.weights == "zoo://FCOS-RT/R50"


def test_a_run_keeps_what_it_started_from(tmp_path, capfd):
    file = tmp_path / "resnet18.pth"
    torch.save(torchvision.models.resnet18().state_dict(), file)
    command = tiny_command(tmp_path / "data", tmp_path / "out", 1, "--start", str(file))
    run(train_request(command))
    kept = torch.load(tmp_path / "out" / "model_final.pth", weights_only=True)["origins"]
    origin = {"weights": str(file), "source": "torchvision ResNet", "licence": "not stated"}
    assert kept == [origin]
    assert f"{file} (torchvision ResNet); licence: not stated" in capfd.readouterr().out


def test_a_run_asks_about_a_licence(tmp_path):
    command = tiny_command(tmp_path / "data", tmp_path / "out", 1)
    words = [*command, "MODEL.WEIGHTS", "zoo://FCOS-RT/R50"]
    with pytest.raises(ValueError, match="non-commercial .*--accept-noncommercial"):
        run(train_request(words))
