import json
from pathlib import Path

import pytest
from made_results import NAMES, dropped, made_results, made_truth

from fcos_cli.main import main
from fcos_d2.evaluation.report import flow
from fcos_d2.evaluation.results import DetectionSet


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Data, results, and those with a twentieth of their rows gone."""
    truth = made_truth(100)
    rows = made_results(truth)
    contents = {"val": truth, "a": rows, "worse": dropped(rows), "empty": []}
    paths = {}
    for name, content in contents.items():
        paths[name] = str(tmp_path / f"{name}.json")
        Path(paths[name]).write_text(json.dumps(content))
    return paths


def compare(files: dict[str, str], a: str, b: str, *options: str) -> int:
    output = ["--output", str(Path(files["val"]).parent / "out"), "--resamples", "200"]
    return main(["compare", files[a], files[b], "--data", files["val"], *output, *options])


def result_of(files: dict[str, str]) -> dict:
    return json.loads((Path(files["val"]).parent / "out" / "compare.json").read_text())


def test_with_itself(files: dict[str, str], capsys: pytest.CaptureFixture) -> None:
    assert compare(files, "a", "a") == 0
    figure = result_of(files)["figures"]["AP"]
    assert (figure["difference"], figure["low"], figure["high"], figure["p"]) == (0, 0, 0, 1)
    said = capsys.readouterr().out
    assert "no image changed" in said
    assert said.splitlines()[-1].startswith("no significant difference: +0.00 AP")
    row = next(line.split() for line in said.splitlines() if line.startswith("AP "))
    assert row[3:] == ["+0.00", "+0.00", "to", "+0.00", "1.000"]


def test_exit_code_3_for_worse_by_more_than_the_tolerance(
    files: dict[str, str], capsys: pytest.CaptureFixture
) -> None:
    assert compare(files, "a", "worse") == 3
    result = result_of(files)
    assert result["significantly_worse"] and result["judged_by"] == "AP"
    assert [x["name"] for x in result["classes"]] == NAMES
    assert "worse.json is significantly worse: -" in capsys.readouterr().out
    assert compare(files, "worse", "a") == 0
    assert compare(files, "a", "worse", "--tolerance", "20") == 0
    assert "not by more than the tolerance of 20" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["a", "empty"], 1, "empty.json: no detection at all"),
        (["a", "val"], 1, "val.json: a COCO results file is a json list"),
        (["a", "a", "--tolerance", "-1"], 2, "--tolerance must be in [0, 100] percent, got -1"),
        (["a", "a", "--resamples", "5"], 2, "--resamples must be at least 100, got 5"),
    ],
)
def test_mistakes_get_one_line(
    files: dict[str, str],
    capsys: pytest.CaptureFixture,
    words: list[str],
    code: int,
    message: str,
) -> None:
    assert compare(files, *words) == code
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_what_is_missing(files: dict[str, str], capsys: pytest.CaptureFixture) -> None:
    assert main(["compare", files["a"], files["a"]]) == 2
    assert (
        "--data is missing: on which annotations were the results made?" in capsys.readouterr().err
    )
    assert main(["compare", files["a"], "gone.json", "--data", files["val"]]) == 1
    assert "gone.json: no such file of results" in capsys.readouterr().err
    assert main(["compare", "gone.pth", files["a"]]) == 2
    assert "there is no config.yaml beside the weights" in capsys.readouterr().err
    other = made_results(made_truth(3), seed=9)
    Path(files["a"]).write_text(json.dumps([{**row, "image_id": 999} for row in other]))
    assert compare(files, "a", "worse") == 1
    assert "is on image 999, which the data lack" in capsys.readouterr().err


def test_checkpoints_are_run_each_by_its_own_config_on_the_same_data(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, asked = made_truth(100), []
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("{}")

    def detections_of(request: flow.Request, output: Path) -> tuple[None, DetectionSet]:
        asked.append((request.config_file, request.weights, request.val_data, request.data_format))
        request.val_data = request.val_data or "of/the/config.json"  # as the engine does
        rows = json.loads(Path(files["a" if "old" in request.weights else "worse"]).read_text())
        return None, DetectionSet(truth=truth, detections=rows, source=request.val_data)

    monkeypatch.setattr(flow, "detections_of", detections_of)
    old, new = (str(tmp_path / name / "model.pth") for name in ("old", "new"))
    configs = [str(tmp_path / name / "config.yaml") for name in ("old", "new")]
    common = ["--output", str(tmp_path / "x.json"), "--resamples", "200"]
    assert main(["compare", old, new, *common]) == 3
    assert asked == [
        (configs[0], old, None, "auto"),
        (configs[1], new, "of/the/config.json", "coco"),
    ]
    asked.clear()
    assert main(["compare", new, files["a"], "--data", files["val"], *common]) == 0
    assert asked == [(configs[1], new, files["val"], "auto")]
    asked.clear()
    assert main(["compare", old, old, *common]) == 0
    assert len(asked) == 1  # it is run once


def test_checkpoints_that_were_run_on_different_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Two trainings have split one folder in two ways."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("{}")

    def detections_of(request: flow.Request, output: Path) -> tuple[None, DetectionSet]:
        truth = made_truth(30 if "old" in request.weights else 20)
        return None, DetectionSet(truth=truth, detections=made_results(truth), source="a folder")

    monkeypatch.setattr(flow, "detections_of", detections_of)
    old, new = (str(tmp_path / name / "model.pth") for name in ("old", "new"))
    assert main(["compare", old, new, "--output", str(tmp_path / "x.json")]) == 1
    said = capsys.readouterr().err
    assert f"{old} was run on 30 images and {new} on 20 other ones" in said
    assert said.count("\n") == 1
