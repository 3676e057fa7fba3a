import time
from pathlib import Path

import pytest

from fcos_d2 import model_zoo
from fcos_d2.datasets.formats import read_dataset
from fcos_deploy.safe_yaml import LimitedLoader
from fcos_deploy.settings import read_settings
from fcos_deploy.text import read_yaml

# Each line ten times the one before: a billion words.
ALIASES = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 10)}]}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMBS = {
    "aliases": (ALIASES, "stand for more than"),
    "merges": (MERGES, "stand for more than"),
    "depth": ("a: " + "[" * 5000, "nested too deeply"),
    "circle": ("a: &a [*a]", "an alias stands for what it is in"),
    "length": ("a: [" + "x, " * 300_000 + "x]", "more than 2000 values|bytes are too many"),
}


@pytest.mark.parametrize("door", ["text", "infer.yaml", "data.yaml", "config.yaml"])
@pytest.mark.parametrize(("text", "message"), BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused_while_they_are_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: str, text: str, message: str
) -> None:
    # PyYAML takes many seconds for as many values as may be.
    assert LimitedLoader.max_values == 200_000
    monkeypatch.setattr(LimitedLoader, "max_values", 2000)
    path = tmp_path / ("infer.yaml" if door == "infer.yaml" else "data.yaml")
    path.write_text(text)
    read = {
        "text": read_yaml,
        "infer.yaml": lambda path: read_settings(path.parent),
        "data.yaml": read_dataset,
        "config.yaml": lambda path: model_zoo.get_config(str(path)),
    }[door]
    start = time.process_time()
    with pytest.raises(ValueError, match=message) as error:
        read(path)
    assert "\n" not in str(error.value) and path.name in str(error.value)
    if len(text) < 10_000:  # a figure with room: it takes milliseconds
        assert time.process_time() - start < 1


def test_ordinary_aliases_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("base: &b {x: 1, y: [2]}\nother: {<<: *b, x: 3}\nagain: *b\n")
    assert read_yaml(path) == {
        "base": {"x": 1, "y": [2]},
        "other": {"x": 3, "y": [2]},
        "again": {"x": 1, "y": [2]},
    }
