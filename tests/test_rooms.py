"""What the rooms of the package may import from one another."""

import ast
from pathlib import Path

import pytest

import fcos_d2

PACKAGE = Path(fcos_d2.__file__).parent


def imports_of(file: Path) -> set[str]:
    """Full names of the modules that a file imports, and of what it imports from them."""
    package = ["fcos_d2", *file.relative_to(PACKAGE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def rooms_of(room: str) -> set[str]:
    """The parts of fcos_d2 that the files of a room import."""
    files = [*(PACKAGE / room).rglob("*.py")]
    assert len(files) > 5, files
    names = [name.split(".") for file in files for name in imports_of(file)]
    return {name[1] for name in names if name[0] == "fcos_d2" and len(name) > 1}


@pytest.mark.parametrize(
    ("room", "known"),
    [
        ("datasets", {"choices", "datasets", "modeling", "pages"}),
        ("data", {"choices", "data", "sample"}),
    ],
)
def test_data_on_disk_and_what_training_reads_do_not_know_each_other(room, known):
    assert rooms_of(room) == known


def test_only_the_command_knows_the_command_line():
    files = {file.relative_to(PACKAGE).as_posix(): file for file in PACKAGE.rglob("*.py")}
    knowing = {
        name
        for name, file in files.items()
        if any(module.split(".")[0] == "fcos_cli" for module in imports_of(file))
    }
    assert knowing == {"__main__.py"}


@pytest.mark.parametrize(
    "line",
    [
        "from ..data import mapper",
        "from ..data.mapper import FCOSDatasetMapper",
        "from .. import data",
        "import fcos_d2.data.mapper",
        "def late():\n    from fcos_d2.data import mapper",
    ],
)
def test_an_import_is_seen_however_it_is_written(line, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "datasets").mkdir()
    for name in "abcdef":
        (tmp_path / "datasets" / f"{name}.py").write_text(line)
    assert "data" in rooms_of("datasets")
