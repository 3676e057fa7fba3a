import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from made_results import NAMES, made_results, made_truth
from tiny_model import tiny_settings

from fcos_cli.main import main
from fcos_d2.chosen_thresholds import thresholds_for
from fcos_d2.evaluation.matches import Matches, match
from fcos_d2.evaluation.report import flow, page, parts
from fcos_d2.evaluation.results import DetectionSet
from fcos_d2.evaluation.thresholds import choose
from fcos_deploy.settings import read_settings

MODEL_NAMES = ["dog", "cat", "pig", "cow"]  # in another order than in the data, which know no pig
COLOUR = {"color_rgb": [0, 0, 0]}


@pytest.fixture(scope="module")
def matches() -> Matches:
    truth = made_truth(60)
    return match(DetectionSet(truth=truth, detections=made_results(truth)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Data, results, a checkpoint with its config, and two exports."""
    truth = made_truth(60)
    (tmp_path / "val.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(made_results(truth)))
    torch.save({"model": {"x": torch.zeros(1)}, "class_names": MODEL_NAMES}, tmp_path / "model.pth")
    (tmp_path / "config.yaml").write_text("# mine\nTEST: {EVAL_PERIOD: 7}\n")
    for name, classes in (("export", MODEL_NAMES), ("other", NAMES)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.onnx").write_bytes(b"")
        settings = tiny_settings() | {"classes": [{"name": x, **COLOUR} for x in classes]}
        (tmp_path / name / "infer.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


@pytest.fixture
def report(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs `fcos report`; the checkpoint is said to have found what is in results.json."""

    def of_weights(request: flow.Request, asked: flow.Asked) -> flow.Report:
        made = flow.report_of_results(
            folder / "results.json",
            replace(asked, data=flow.DataFiles(str(folder / "val.json"))),
        )
        return replace(made, weights=request.weights)

    monkeypatch.setattr(flow, "report_of_weights", of_weights)
    monkeypatch.setattr(parts, "build_gallery", lambda *_: [])  # the page has tests of its own
    monkeypatch.setattr(page, "write_page", lambda *_: "report.html")

    def run(*words: str) -> int:
        common = ["--no-brightness", "--output", str(folder / "report")]
        return main(["report", *(x.replace("{}", str(folder)) for x in words), *common])

    return run


def test_one_for_all_and_one_for_each(matches: Matches) -> None:
    choice = choose(matches, "f1")
    thresholds, lines = thresholds_for(matches, "f1", MODEL_NAMES, by_class=False)
    assert thresholds == (round(choice.overall.threshold, 6),) * 4 and lines == []
    thresholds, lines = thresholds_for(matches, "f1", MODEL_NAMES, by_class=True)
    wanted = [choice.by_class[name].threshold for name in ("dog", "cat", "cow")]
    wanted.insert(2, choice.overall.threshold)
    assert thresholds == pytest.approx(wanted, abs=1e-6) and len(set(thresholds)) == 4
    assert lines == ["pig: the data do not know it, so it gets the threshold for all classes"]


def test_what_no_threshold_gives_is_not_replaced_by_another(matches: Matches) -> None:
    """A tenth of the objects has no detection at all."""
    with pytest.raises(
        ValueError, match="no score threshold gives recall=1: the highest recall is"
    ):
        thresholds_for(matches, "recall=1", NAMES, by_class=False)
    highest = {k: x.recall for k, x in choose(matches, "recall=0.01").by_class.items()}
    assert highest.keys() == set(NAMES)
    truth = made_truth(60)
    rows = [x for x in made_results(truth, missed=0.0, noise=0.0) if x["category_id"] != 2]
    found = match(DetectionSet(truth=truth, detections=rows))
    with pytest.raises(ValueError, match="gives recall=0.5 for 'dog': nothing was detected; ask f"):
        thresholds_for(found, "recall=0.5", NAMES, by_class=True)
    _, lines = thresholds_for(found, "f1", NAMES, by_class=True)
    assert lines == ["dog: nothing was detected, so it gets the threshold for all classes"]


def test_config_and_export_get_the_same(
    report: Callable[..., int], folder: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["--weights", "{}/model.pth", "--set-threshold", "f1", "--by-class"]
    assert report(*words, "--export", "{}/export") == 0
    said = capsys.readouterr().out
    assert (
        "pig: the data do not know it" in said and "lowest score of a detection, f1: dog 0" in said
    )
    assert f"written to {folder}/config.yaml and {folder}/export/infer.yaml" in said
    text = (folder / "config.yaml").read_text()
    pairs = yaml.safe_load(text)["TEST"]["SCORE_THRESH"]
    assert [name for name, _ in pairs] == MODEL_NAMES and text.startswith("# mine\n")
    settings = read_settings(folder / "export")
    assert settings.score == tuple(x for _, x in pairs) and settings.draw == 0.0

    assert report("--weights", "{}/model.pth", "--set-threshold", "precision=0.9") == 0
    assert 0 < yaml.safe_load((folder / "config.yaml").read_text())["TEST"]["SCORE_THRESH"] < 1
    assert read_settings(folder / "export") == settings


def test_results_of_others_reach_an_export(report: Callable[..., int], folder: Path) -> None:
    results = ["--results", "{}/results.json", "--data", "{}/val.json"]
    assert report(*results, "--set-threshold", "recall=0.5", "--export", "{}/other") == 0
    score = read_settings(folder / "other").score
    assert len(set(score)) == 1 and 0 < score[0] < 1
    assert "SCORE_THRESH" not in (folder / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--set-threshold", "best"], 2, "a threshold is chosen by f1, precision=P"),
        (["--by-class"], 2, "--by-class and --export are for --set-threshold"),
        (["--set-threshold", "f1", "--export", "{}/gone"], 1, "gone/infer.yaml: no such file; an"),
        (["--set-threshold", "f1", "--export", "{}/other"], 1, "an export of the classes cat, dog"),
        (["--set-threshold", "recall=1"], 1, "no score threshold gives recall=1: the highest rec"),
        (["--set-threshold", "f1", "--config", "FCOS-RT/R50"], 1, "R50.yaml belongs to fcos_d2"),
    ],
)
def test_mistakes_change_nothing(
    report: Callable[..., int],
    folder: Path,
    capsys: pytest.CaptureFixture,
    words: list[str],
    code: int,
    message: str,
) -> None:
    files = [folder / x for x in ("config.yaml", "export/infer.yaml", "other/infer.yaml")]
    before = [x.read_text() for x in files]
    assert report("--weights", "{}/model.pth", *words) == code
    assert message in capsys.readouterr().err
    assert [x.read_text() for x in files] == before


def test_results_have_no_config(report: Callable[..., int], capsys: pytest.CaptureFixture) -> None:
    results = ["--results", "{}/results.json", "--data", "{}/val.json"]
    assert report(*results, "--set-threshold", "f1") == 2
    assert "--set-threshold needs --weights, whose config gets it, or an" in capsys.readouterr().err
