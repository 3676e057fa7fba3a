import json

import pytest

from fcos_cli.main import main
from fcos_d2.benchmark import model


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "512"], "'512' is no size; height x width, as 512x736"),
        (["--size", "0x8"], "'0x8' is no size"),
        (["--batch", "0"], "'0' is no whole number above 0"),
        (["--precision", "fp64"], "invalid choice: 'fp64'"),
    ],
)
def test_bad_arguments_are_named(words: list[str], message: str, capsys):
    with pytest.raises(SystemExit):
        main(["benchmark", "--config", "FCOS-RT/R50", *words])
    assert message in capsys.readouterr().err


def test_unknown_config_is_one_line(capsys):
    assert main(["benchmark", "--config", "FCOS-RT/R5", "--threads", "1"]) == 1
    assert capsys.readouterr().err.startswith("error: FCOS-RT/R5: no such config;")


def test_a_small_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # Its process would take ten times as long as all else.
    monkeypatch.setattr(model, "memory_apart", lambda *recipe: 5_000_000)
    shape = ["--size", "64x64", "--warmup", "0", "--repeats", "1", "--threads", "1"]
    command = ["benchmark", "--config", "Recipes/R18-Scratch", *shape, "--output", "made/speed"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "| fcos_d2 Recipes/R18-Scratch, fp32 | 64x64 | 1 |" in printed
    (row,) = json.loads((tmp_path / "made" / "speed" / "benchmark.json").read_text())["rows"]
    assert row["median_ms"] > 0 and row["memory_bytes"] == 5_000_000
    assert "64x64" in (tmp_path / "made" / "speed" / "benchmark.md").read_text()
