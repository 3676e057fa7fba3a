"""What a run says at its end."""

import logging
from types import SimpleNamespace

from fcos_d2.engine.final_report import FinalReport
from fcos_d2.engine.summary import in_words, say_end


def test_results_in_words():
    kept = {"bbox": {"AP": 41.23, "AP50": 60.0, "APs": 3.0}, "validation": {"total_loss": 0.8312}}
    raw = {"bbox": {"AP": 40.0}, "validation": {"total_loss": 0.9}}
    assert in_words(kept) == "bbox AP 41.2, AP50 60.0; validation loss 0.831"
    assert in_words({**kept, "raw": raw}) == (
        "bbox AP 41.2, AP50 60.0; validation loss 0.831; raw bbox AP 40.0; raw validation loss 0.9"
    )
    assert in_words({"a": kept, "b": {}, "raw": {"a": raw}}) == (
        "a bbox AP 41.2, AP50 60.0; a validation loss 0.831; "
        "raw a bbox AP 40.0; raw a validation loss 0.9"
    )
    assert in_words({"bbox": {"AP": float("nan")}, "validation": {}}) == ""


def test_the_end_says_in_few_lines_where_everything_is(tmp_path, caplog):
    (tmp_path / "model_best.pth").touch()
    run = SimpleNamespace(
        output_dir=str(tmp_path), training=lambda: SimpleNamespace(best_metric="bbox/AP")
    )
    budget = SimpleNamespace(seconds=1200.0)
    clock = SimpleNamespace(used=1187.4, budget=budget)
    results = {"bbox": {"AP": 41.23}}
    forecast = {"2x time": "+1 AP", "2x labels": "+2 AP"}
    report = FinalReport(tmp_path / "report.html", "found, as another class: without these, ...")
    curves = str(tmp_path / "training.png")
    with caplog.at_level(logging.INFO):
        say_end(run, results, 9.0, 42.0, clock, {"bbox": {"AP": 39.0}}, forecast, report, curves)
    assert caplog.messages[0].splitlines() == [
        "done in 0:19:47 of a budget of 0:20:00",
        "  results   bbox AP 41.2",
        f"  weights   {tmp_path}/model_final.pth",
        f"  best      {tmp_path}/model_best.pth: bbox/AP 42.0",
        "  test set  bbox AP 39.0",
        "  2x time   +1 AP",
        "  2x labels +2 AP",
        "  mistakes  found, as another class: without these, ...",
        f"  report    {tmp_path}/report.html: what the detector gets right and wrong, and which "
        "threshold",
        f"  curves    {tmp_path}/training.png",
        f"  output    {tmp_path}: config.yaml, metrics.json, log.txt",
        f"  next      fcos predict IMAGE --weights {tmp_path}/model_best.pth --output drawn/",
    ]


def test_a_report_that_is_missing_is_one_command_away(tmp_path, caplog):
    run = SimpleNamespace(output_dir=str(tmp_path), test_datasets=("val",))
    with caplog.at_level(logging.INFO):
        say_end(run, {}, 9.0, None)
    line = f"  report    none yet: fcos report --weights {tmp_path}/model_final.pth"
    assert line in caplog.messages[0].splitlines()
