"""`fcos report` on tiny pictures."""

import json
from pathlib import Path

import pytest
import torch
from noisy_detector import drawn_truth, noisy_results
from tiny_run import TINY_MODEL, make_tiny_coco

from fcos_cli.main import main
from fcos_d2 import model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer

OPTS = [str(word) for item in TINY_MODEL.items() for word in item]


pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def results() -> list[str]:
    """Flags of a report on results of any detector, without images."""
    truth = drawn_truth(4)
    Path("data.json").write_text(json.dumps(truth))
    Path("results.json").write_text(json.dumps(noisy_results(truth, 4)))
    return ["--results", "results.json", "--data", "data.json"]


def numbers_of(folder: str) -> dict:
    return json.loads(Path(folder, "report.json").read_text())


def test_results_of_any_detector(results, capsys):
    assert main(["report", *results, "--output", "made"]) == 0
    out = capsys.readouterr().out
    numbers = numbers_of("made")
    assert f"AP    {numbers['figures']['AP']['value']:5.1f}" in out
    assert "precision=0.9" in out
    assert numbers["model"] is None
    assert numbers["data"]["source"] == "data.json"
    assert len(numbers["data"]["sha256"]) == len(numbers["data"]["results_sha256"]) == 64
    assert numbers["made"]["code"]["version"]
    assert main(["report", *results]) == 0
    assert numbers_of("report")["figures"] == numbers["figures"]


def test_objects_on_one_image_alone(results, capsys):
    """There is no interval then, and all the rest is there."""
    truth = json.loads(Path("data.json").read_text())
    only = truth["annotations"][0]["image_id"]
    truth["annotations"] = [x for x in truth["annotations"] if x["image_id"] == only]
    Path("data.json").write_text(json.dumps(truth))
    assert main(["report", *results, "--output", "made"]) == 0
    figure = numbers_of("made")["figures"]["AP"]
    assert figure["low"] is None and figure["images"] == 1
    assert f"AP    {figure['value']:5.1f}\n" in capsys.readouterr().out
    # Whatever cannot be set is not offered.
    assert "--set-threshold" not in Path("made/report.html").read_text()


def test_a_model_and_then_its_results(capsys):
    make_tiny_coco(Path("data"))
    content = json.loads(Path("data/annotations.json").read_text())
    for i, image in enumerate(content["images"]):
        image |= {"id": f"photo {i}", "camera": "left" if i < 3 else "right"}
        content["annotations"][i]["image_id"] = f"photo {i}"
    Path("data/annotations.json").write_text(json.dumps(content))
    torch.manual_seed(1)
    opts = [*OPTS, "MODEL.FCOS.NUM_CLASSES", "1", "MODEL.FCOS.INFERENCE_TH_TEST", "0.0"]
    model = model_zoo.get_model("Recipes/R18-Scratch", opts)
    FCOSCheckpointer(model, ".", class_names=["white thing"]).save("model")
    data = ["--data", "data/annotations.json", "--images", "data"]
    command = ["report", "--config", "Recipes/R18-Scratch", "--weights", "model.pth", *data]
    assert main([*command, *opts]) == 0
    numbers = numbers_of("report")
    rows = json.loads(Path("report/results.json").read_text())
    assert {row["image_id"] for row in rows} == {f"photo {i}" for i in range(6)}
    assert {row["category_id"] for row in rows} == {5}
    assert numbers["data"]["detections"] == len(rows) > 0
    assert numbers["data"]["source"] == "data/annotations.json"
    assert numbers["model"]["parameters"] > 1000
    assert numbers["model"]["classes"] == ["white thing"]
    assert numbers["speed"]["median_ms"] > 0
    slices = {x["by"]: [part["name"] for part in x["parts"]] for x in numbers["slices"]}
    assert slices["camera"] == ["left", "right"]
    again = ["report", "--results", "report/results.json", *data, "--output", "again"]
    assert main([*again, "--compare", "report"]) == 0
    assert numbers_of("again")["figures"] == numbers["figures"]
    assert numbers_of("again")["slices"] == numbers["slices"]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--weights or --results is missing"),
        (["--results", "a.json"], "--results need --data"),
        (["--results", "a.json", "--data", "b.json", "--weights", "c"], "leave --weights"),
        (["--results", "a.json", "--data", "b.json", "A", "1"], "mean nothing to --results"),
        (["--weights", "c", "--max-detections", "0"], "must be at least 1, got 0"),
    ],
)
def test_wrong_use(words, message, capsys):
    assert main(["report", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "content", "message"),
    [
        ("results.json", "[", "results.json: no json"),
        (
            "results.json",
            '[{"image_id": 99, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}]',
            "image 99",
        ),
        ("data.json", "{}", "data.json"),
        ("old.json", "{}", "old.json: no report.json"),
        ("old.json", "[", "old.json: no report"),
    ],
)
def test_bad_input_is_one_line(results, capsys, changed, content, message):
    Path("old.json").write_text('{"figures": {}}')
    Path(changed).write_text(content)
    assert main(["report", *results, "--compare", "old.json"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert message in lines[-1]
    assert lines[-1].startswith("error: ")
    assert not any("Traceback" in line for line in lines)
    assert not Path("report/report.json").exists()


def test_the_old_report_must_be_there(results, capsys):
    assert main(["report", *results, "--compare", "nowhere"]) == 1
    assert "error: nowhere: no such report to compare with" in capsys.readouterr().err
