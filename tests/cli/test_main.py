"""The command as a whole: light, one vocabulary, one table of exit codes, one line for mistakes."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fcos_d2
from fcos_cli import exit_codes, flags
from fcos_cli.commands import export, train
from fcos_cli.main import GROUPS, build_parser, command_names, load, main
from fcos_d2.checkpoint.known_files import ZOO
from fcos_d2.datasets.formats import FORMATS
from fcos_d2.export import FORMATS as EXPORT_FORMATS

HEAVY = ("numpy", "torch", "cv2", "PIL", "yaml", "detectron2", "fcos_deploy")
# Searches for modules as ever, but finds no detectron2.
WITHOUT_DETECTRON2 = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] != "detectron2":
            return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
"""


def python(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, *words]
    environment = os.environ | environment
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


def subparsers() -> dict[str, argparse.ArgumentParser]:
    (action,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


@pytest.mark.parametrize("module", ["fcos_cli", "fcos_d2"])
@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["--version"], ["nothing"]])
def test_nothing_heavy_is_imported_to_answer(tmp_path, module, words):
    """Checked in a process, by what it has imported when it ends."""
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, sys\n"
        "atexit.register(lambda: open('imported', 'w').write('\\n'.join(sys.modules)))\n"
    )
    done = python("-m", module, *words, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == (2 if words == ["nothing"] else 0)
    imported = set((tmp_path / "imported").read_text().splitlines())
    assert "fcos_cli.commands.train" in imported
    assert [name for name in HEAVY if name in imported] == []


def test_the_help_fits_on_a_screen(capsys):
    with pytest.raises(SystemExit) as info:
        main(["--help"])
    assert info.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 36 and max(map(len, lines)) <= 100
    for name in command_names():
        (line,) = (line for line in lines if line.startswith(f"  {name} "))
        assert line.endswith(load(name).SUMMARY)


def test_every_file_is_a_command():
    folder = Path(sys.modules["fcos_cli.commands"].__file__).parent
    files = {path.stem.replace("_", "-") for path in folder.glob("*.py")} - {"--init--"}
    assert files == set(command_names())
    assert len(command_names()) == sum(map(len, GROUPS.values())) == len(set(command_names()))


@pytest.mark.parametrize("name", command_names())
def test_each_help_has_examples_and_the_exit_codes(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    text = capsys.readouterr().out
    assert text.startswith(f"usage: fcos {name} [options]")
    assert text.count("exit codes:") == 1 and exit_codes.as_text() in text
    examples = [x for x in load(name).EXAMPLES.splitlines() if x.startswith("fcos ")]
    assert 1 <= len(examples) <= 4
    # The options of the examples exist. What follows -- is another command's.
    known = {option for action in subparsers()[name]._actions for option in action.option_strings}
    text = load(name).EXAMPLES.replace("\\\n", " ").split(" -- ")[0]
    lines = [line for line in text.splitlines() if line.startswith(f"fcos {name}")]
    used = {word for line in lines for word in line.split() if word.startswith("--")}
    assert used <= known


def test_one_vocabulary():
    """The same word has the same meaning wherever it is taken."""
    seen: dict[str, tuple] = {}
    for name, parser in subparsers().items():
        for action in parser._actions:
            for option in action.option_strings:
                if option in flags.VOCABULARY:
                    entry = flags.VOCABULARY[option]
                    assert action.help.startswith(entry["help"]), (name, option)
                    assert action.metavar == entry.get("metavar"), (name, option)
                    assert action.dest == option.removeprefix("--").replace("-", "_")
                elif option not in ("-h", "--help"):
                    told = (action.dest, action.help.split(";")[0])
                    assert seen.setdefault(option, told) == told, (name, option)


def test_the_words_of_the_heavy_modules():
    assert ("auto", *FORMATS) == flags.DATA_FORMATS
    assert tuple(EXPORT_FORMATS) == export.FORMATS
    from fcos_cli.model_choice import ZOO as WORD
    from fcos_d2.benchmark.subjects import PRECISIONS

    assert WORD == ZOO and tuple(PRECISIONS) == flags.PRECISIONS


@pytest.mark.parametrize(
    "words",
    [
        ["check", "data.json"],
        ["train", "--config", "x"],
        ["eval", "--config", "x"],
        ["predict", "a.jpg", "--config", "x"],
        ["zoo"],
    ],
)
@pytest.mark.parametrize("module", ["fcos_cli", "fcos_d2"])
def test_without_detectron2(tmp_path, module, words):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_DETECTRON2)
    (tmp_path / "detectron2").mkdir()  # a clone in the folder where one works is no installation
    done = python("-m", module, *words, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == (
        "error: detectron2 is missing, and PyPI does not have it: run `fcos install-detectron2`\n"
    )


@pytest.mark.parametrize("module", ["fcos_cli", "fcos_d2"])
def test_the_cure_runs_without_detectron2(tmp_path, module):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_DETECTRON2)
    command = ["install-detectron2", "--wheel", "missing.whl"]
    done = python("-m", module, *command, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("error: missing.whl does not exist; pass the path of labgym")


@pytest.mark.parametrize(
    ("words", "is_the_command"),
    [
        (["python", "-m", "fcos_d2", "zoo"], True),
        (["python", "-X", "dev", "-mfcos_d2", "train", "-m", "x"], True),
        (["python", "-m", "fcos_d2.datasets.tiny_shapes", "-m"], False),
        (["python", "-m", "my_fcos_d2", "-m", "fcos_d2"], False),
        (["python", "-m", "pytest"], False),
    ],
)
def test_a_program_that_imports_the_package_gets_all_of_it(monkeypatch, words, is_the_command):
    """Only `python -m fcos_d2` itself imports it later; argv is as while Python looks for it."""
    at = next(i for i, word in enumerate(words) if word.startswith("-m"))
    given = words[at + (2 if words[at] == "-m" else 1) :]
    monkeypatch.setattr(sys, "orig_argv", words)
    monkeypatch.setattr(sys, "argv", ["-m", *given])
    assert fcos_d2._is_the_command() == is_the_command
    monkeypatch.setattr(sys, "argv", ["/site/__main__.py", *given])
    assert not fcos_d2._is_the_command()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "invalid choice: 'nothing'"),
        (["train", "--confg", "x"], "unrecognized arguments: --confg"),
        (["predict", "a.jpg", "--threshold", "high"], "invalid float value: 'high'"),
        (["convert"], "the following arguments are required: DATA, --output"),
    ],
)
def test_wrong_use_is_one_line(capsys, words, message):
    with pytest.raises(SystemExit) as info:
        main(words)
    assert info.value.code == exit_codes.WRONG_USE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line
    # Of an unknown command, or flag, the parser of all commands tells.
    known = f" {words[0]}" if words[0] in command_names() and "unrecog" not in message else ""
    assert line.endswith(f"; see fcos{known} --help")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "a folder of data is missing, or --config: a name that `fcos zoo` lists"),
        (["eval"], "--config or --weights is missing"),
        (["predict", "a.jpg"], "--config or --weights is missing"),
        (["predict", "--config", "x"], "name images, or --video FILE, or --camera"),
        (["export", "--images", "x", "--output", "y"], "--config or --weights is missing"),
    ],
)
def test_what_is_missing_is_named(capsys, words, message):
    assert main(words) == exit_codes.WRONG_USE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {message}") and line.endswith(f"see fcos {words[0]} --help")


def test_the_page_has_the_table_of_the_help():
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert exit_codes.as_text() in page


def test_no_command_shows_the_help(capsys):
    assert main([]) == exit_codes.WRONG_USE
    assert capsys.readouterr().out.startswith("usage: fcos COMMAND")


def test_overrides_with_and_without_their_flag():
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    from fcos_cli.model_choice import overrides_of

    for words in (
        ["SEED", "1", "--resume"],
        ["--resume", "SEED", "1"],
        ["--resume", "--opts", "SEED", "1"],
    ):
        arguments = parser.parse_args(["--config", "x", *words])
        assert arguments.resume and overrides_of(arguments) == ["SEED", "1"]


def test_completion(tmp_path):
    pytest.importorskip("argcomplete", reason="the extra `completion` is not installed")
    line = "fcos pre"
    answer = tmp_path / "answer"
    done = python(
        *("-c", "import sys; from fcos_cli.main import main; main()"),
        cwd=tmp_path,
        _ARGCOMPLETE="1",
        _ARGCOMPLETE_IFS="\n",
        COMP_LINE=line,
        COMP_POINT=str(len(line)),
        _ARGCOMPLETE_STDOUT_FILENAME=str(answer),
    )
    assert done.returncode == 0 and answer.read_text().split() == ["predict"]
