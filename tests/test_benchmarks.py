"""The speed tool: its arguments, tables and counts. Nothing here is timed."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks import __main__ as benchmark
from benchmarks import common, model, suite
from benchmarks.subjects import Recipe, TorchSubject, build

TABLE = """\
|  | fcos_d2 | other | unit | ratio | target | reached | note |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| a | 2 | 5 | ms | 2.50 | 2 | yes |  |
| b | 400 | 500 | images/s | 0.80 | 1.5 | **no** | why |
| c | 0.123 | - | MB | 1.00 | - | - |  |"""


class OneConv(nn.Module):
    """A detector in outline."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.head = nn.Identity()

    def forward(self, images: list[Tensor]) -> Tensor:
        return self.head(self.backbone(torch.stack(images)))


def subject() -> TorchSubject:
    model = OneConv()

    def prepare(image: np.ndarray) -> Tensor:
        return torch.as_tensor(image).permute(2, 0, 1).float()

    return TorchSubject("one", model, model.head, prepare, Recipe("fcos_d2", ""))


def test_operations_of_one_convolution():
    # 2 images x 6 x 5 px x 4 output channels x (3 x 3 x 3 products and additions)
    expected = 2 * 6 * 5 * 4 * (3 * 3 * 3 * 2) / 1e9
    assert model.operations(subject(), model.random_images((6, 5), 2)) == expected


def test_parts_cover_the_call():
    parts = subject().parts(model.random_images((6, 5), 1))
    assert list(parts) == ["preprocess", "backbone", "head", "post-process"]
    assert all(milliseconds >= 0 for milliseconds in parts.values())


def test_turns_alternate_and_leave_out_the_warm_up():
    calls = []
    functions = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = common.time_in_turns(functions, warmup=1, repeats=2)
    assert "".join(calls) == "ababab"
    assert {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}


def test_spread_is_the_middle_half():
    assert common.spread([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 4.0)
    assert common.spread([7.0]) == (7.0, 7.0)


def test_tables_of_a_model():
    row = {
        "name": "m", "size": [512, 736], "batch": 2, "precision": "fp32", "median_ms": 200.0,
        "spread_ms": (190.0, 210.0), "images_per_second": 10.0, "ratio": 1.0, "gflop": 20.0,
        "parameters": 3_000_000, "memory_bytes": None, "parts_ms": {"engine": 1.25},
    }  # fmt: skip
    line = model.whole_table([row]).splitlines()[-1]
    assert line == (
        "| m, fp32 | 512x736 | 2 | 200.0 | 190.0 - 210.0 | 10.00 | 1.00 | 20.0 | 100.0 | 3.0 | - |"
    )
    line = model.parts_table([row]).splitlines()[-1]
    assert line == "| m | 512x736 | 2 | - | - | - | 1.2 | - |"


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


@pytest.mark.parametrize(
    "words, message",
    [
        (["--size", "512"], "'512' is no size; height x width, as 512x736"),
        (["--size", "0x8"], "'0x8' is no size"),
        (["--batch", "0"], "'0' is no whole number above 0"),
        (["--precision", "fp64"], "invalid choice: 'fp64'"),
        (["--peer", "mmdetection"], "invalid choice: 'mmdetection'"),
    ],
)
def test_bad_arguments_are_named(words: list[str], message: str, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["model", "--config-file", "FCOS-RT/R50", *words])
    assert message in capsys.readouterr().err


def test_unknown_config_is_one_line(capsys):
    assert benchmark.main(["model", "--config-file", "FCOS-RT/R5", "--threads", "1"]) == 1
    assert capsys.readouterr().err.startswith("error: FCOS-RT/R5: no such config;")


def test_folder_without_an_export(tmp_path: Path):
    with pytest.raises(ValueError, match="pip install ./deploy|infer.yaml"):
        build(Recipe("export", str(tmp_path)), (64, 64))


def test_evaluators_are_compared_number_by_number():
    evaluation = pytest.importorskip("benchmarks.evaluation")
    ours = {"AP": 50.0, "APs": float("nan")}
    assert evaluation.worst_difference(ours, ours | {"AP": 50.5}) == 0.5
    with pytest.raises(ValueError, match="no value"):
        evaluation.worst_difference(ours, ours | {"APs": 1.0})
    with pytest.raises(ValueError, match="AP75"):
        evaluation.worst_difference(ours, ours | {"AP75": 1.0})
