"""The suite: its tables and counts. Nothing here is timed."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as benchmark
from benchmarks import common, suite

TABLE = """\
|  | fcos_d2 | other | unit | ratio | target | reached | note |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| a | 2 | 5 | ms | 2.50 | 2 | yes |  |
| b | 400 | 500 | images/s | 0.80 | 1.5 | **no** | why |
| c | 0.123 | - | MB | 1.00 | - | - |  |"""


def suite_row(name: str, ours: float, peer: float | None, unit: str, ratio: float, **more) -> dict:
    numbers = {"ours": ours, "peer": peer, "unit": unit, "ratio": ratio}
    return {"name": name, "target": None, "note": ""} | numbers | more


ROWS = [
    suite_row("a", 2, 5, "ms", 2.5, target=2.0),
    suite_row("b", 400, 500, "images/s", 0.8, target=1.5, note="why"),
    suite_row("c", 0.1234, None, "MB", 1.0),
]


def test_each_ratio_beside_its_target():
    assert suite.ratio_table(ROWS) == TABLE


def test_the_best_peer_is_the_measure():
    row = common.row_beside_peers("n", {"ours": 2.0, "a": 5.0, "b": 4.0}, "ms", 1.5)
    assert (row["peer"], row["ratio"], row["note"]) == (4.0, 2.0, "a 5, b 4")


def test_suite_writes_sections_and_names_missing_ones(tmp_path: Path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text(
        "one\n<!-- losses:begin -->\nold\n<!-- losses:end -->\ntwo\n"
        "<!-- mapper:begin -->\nkept\n<!-- mapper:end -->\n"
    )
    sections = {
        "losses": suite.Section("made_up", "measure", ()),
        "mapper": suite.Section("no_such_module", "measure", ()),
    }
    monkeypatch.setattr(suite, "SECTIONS", sections)
    monkeypatch.setitem(
        suite.importlib.sys.modules, "benchmarks.made_up", SimpleNamespace(measure=lambda: ROWS)
    )
    arguments = ["suite", "--output", str(page), "--sections", "losses", "mapper"]
    assert benchmark.main(arguments) == 1
    content = page.read_text()
    assert content.startswith(f"one\n<!-- losses:begin -->\n\n{TABLE}\n\n- CPU: ")
    assert "old" not in content and "\ntwo\n" in content and "\nkept\n" in content
    captured = capsys.readouterr()
    assert "No module named 'benchmarks.no_such_module'" in captured.out
    assert captured.err.startswith("error: not measured: mapper;")


def test_page_has_a_place_for_each_section():
    content = Path(suite.DEFAULT_PAGE).read_text(encoding="utf-8")
    for name in suite.SECTIONS:
        filled = suite.replace_between(content, name, "text", Path("page"))
        assert f"<!-- {name}:begin -->\n\ntext\n\n<!-- {name}:end -->" in filled


@pytest.mark.parametrize(
    "content",
    [
        "nothing",
        "<!-- a:begin -->\n",
        "<!-- a:end --><!-- a:begin -->\n",
        "<!-- a:begin -->\n<!-- a:end --><!-- a:end -->",
    ],
)
def test_page_without_the_marks(content: str):
    with pytest.raises(ValueError, match="page.md: needs the lines <!-- a:begin -->"):
        suite.replace_between(content, "a", "", Path("page.md"))


def test_evaluators_are_compared_number_by_number():
    evaluation = pytest.importorskip("benchmarks.evaluation")
    ours = {"AP": 50.0, "APs": float("nan")}
    assert evaluation.worst_difference(ours, ours | {"AP": 50.5}) == 0.5
    with pytest.raises(ValueError, match="no value"):
        evaluation.worst_difference(ours, ours | {"APs": 1.0})
    with pytest.raises(ValueError, match="AP75"):
        evaluation.worst_difference(ours, ours | {"AP75": 1.0})


def test_peers_are_chosen_by_name(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["model", "--config", "FCOS-RT/R50", "--peer", "mmdetection"])
    assert "invalid choice: 'mmdetection'" in capsys.readouterr().err
