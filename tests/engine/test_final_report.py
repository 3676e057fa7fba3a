"""The report at the end of a training."""

import json
import logging
from types import SimpleNamespace

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from fcos_d2.engine import final_report, run
from fcos_d2.engine.budget import Budget
from fcos_d2.engine.final_report import expected_seconds, keep_time, write_final_report
from fcos_d2.evaluation.coco import FastCOCOEvaluator
from tests.support.tiny_run import tiny_command, train_request


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a training of two iterations, and what it has said."""
    folder = tmp_path_factory.mktemp("trained")
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("fcos_d2.engine.summary")
    logger.addHandler(handler)
    words = tiny_command(
        folder / "data", folder / "out", 2, **{"MODEL.FCOS.INFERENCE_TH_TEST": 0.0}
    )
    results = run(train_request(words))
    logger.removeHandler(handler)
    return folder / "out", results, lines


@pytest.fixture
def a_run(tmp_path):
    """As much of a run as these functions look at."""
    DatasetCatalog.register("report_set", lambda: [{}] * 200)
    yield SimpleNamespace(output_dir=str(tmp_path), final_test=None, test_datasets=("report_set",))
    DatasetCatalog.remove("report_set")
    MetadataCatalog.pop("report_set", None)


def clock(seconds, left=100.0):
    return SimpleNamespace(budget=Budget(seconds, 10), left=left)


def test_a_training_leaves_a_report_with_its_results(trained):
    output, results, lines = trained
    folder = output / "report"
    assert {x.name for x in folder.iterdir()} == {"report.html", "report.json", "model_card.md"}
    numbers = json.loads((folder / "report.json").read_text())
    for name in ("AP", "AP50", "AP75"):
        assert numbers["figures"][name]["value"] == pytest.approx(results["bbox"][name], abs=1e-9)
    assert numbers["model"]["weights"] == str(output / "model_best.pth")
    assert numbers["data"]["images"] == 6
    assert f"report    {folder / 'report.html'}" in lines[-1]
    assert "mistakes" not in lines[-1]  # it finds nothing, so that no single kind costs anything


def test_the_costliest_kind_of_mistake_comes_with_it(a_run, tmp_path, monkeypatch):
    results = tmp_path / final_report.RESULTS
    results.parent.mkdir(parents=True)
    results.touch()
    evaluator = FastCOCOEvaluator.__new__(FastCOCOEvaluator)
    evaluator.max_dets_per_image = 100
    a_run.make_evaluator = lambda _: evaluator
    numbers = {"tide": {"errors": {"Cls": {"cost": 74.5}, "Miss": {"cost": 1.0}}}}
    report = SimpleNamespace(numbers=numbers, data=None, matches=None)
    monkeypatch.setattr(final_report, "replace", lambda run, **_: run)
    monkeypatch.setattr("fcos_d2.evaluation.report.flow.report_of_run", lambda *_: report)
    monkeypatch.setattr("fcos_d2.evaluation.report.parts.build_gallery", lambda *_: None)
    monkeypatch.setattr("fcos_d2.evaluation.report.page.write_page", lambda *_: tmp_path)
    words = "found, as another class: without these, AP50 would be 74.5 higher"
    assert write_final_report(a_run) == (tmp_path, words)


def test_a_report_that_fails_is_one_warning(trained, a_run, monkeypatch):
    def fail(*_):
        raise RuntimeError("no room\nfor it")

    monkeypatch.setattr(final_report, "_write", fail)
    said = []
    monkeypatch.setattr(
        final_report.logger, "warning", lambda text, *values: said.append(text % values)
    )
    assert write_final_report(a_run) is None
    (warning,) = said
    assert "no room" in warning and "fcos report --weights" in warning


def test_time_for_it_is_kept(a_run):
    long = clock(3600)
    keep_time(a_run, long)
    assert long.budget._announced == {"report": expected_seconds(a_run)}
    short = clock(60)
    keep_time(a_run, short)
    assert short.budget._announced == {}
    keep_time(a_run, None)


@pytest.mark.parametrize(("seconds", "left"), [(60, 50.0), (3600, 0.0)])
def test_no_report_where_the_budget_has_no_time(a_run, monkeypatch, seconds, left):
    """Too short a budget, and one whose time is up."""
    written = []
    monkeypatch.setattr(final_report, "_write", lambda *given: (given[-1](), written.append(1)))
    assert write_final_report(a_run, clock(seconds, left)) is None
    assert not written
    write_final_report(a_run, clock(3600, 50.0))
    assert written


def test_no_report_without_a_test_set(a_run):
    a_run.test_datasets = ()
    keep_time(a_run, clock(3600))
    assert write_final_report(a_run, clock(3600)) is None


def test_other_processes_write_none(a_run, monkeypatch):
    monkeypatch.setattr(final_report.comm, "is_main_process", lambda: False)
    monkeypatch.setattr(final_report, "_write", lambda *_: pytest.fail("written"))
    assert write_final_report(a_run) is None
