"""`fcos install-detectron2`, without a network: on a tiny wheel laid out like the real one."""

import base64
import hashlib
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fcos_cli.commands import install_detectron2
from fcos_cli.main import main

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "install_detectron2.py"

FILES = {
    "LabGym/__init__.py": "",
    "LabGym/gui.py": "import LabGym.detectron2\n",
    "LabGym/detectron2_extra/__init__.py": "",
    "LabGym/detectron2/__init__.py": '__version__ = "0.6"\n',
    "LabGym/detectron2/layers/__init__.py": "from LabGym.detectron2 import _C\nx = 1\n",
    "LabGym/detectron2/model_zoo/configs/a.yaml": "name: LabGym.detectron2.engine\n",
    "labgym-3.1.2.dist-info/METADATA": "Name: LabGym\n",
}
INFO = "detectron2-0.6+labgym3.1.2.dist-info"


@pytest.fixture
def tool():
    return install_detectron2


@pytest.fixture
def no_pip(tool, monkeypatch):
    """Fail the test if the script starts another program."""

    def refuse(command, **_):
        raise AssertionError(f"started {command}")

    monkeypatch.setattr(tool.subprocess, "run", refuse)


def write_source(folder: Path, files: dict[str, str]) -> Path:
    """Write a wheel with the given files and return its path."""
    path = folder / "labgym-3.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def convert(tool, folder: Path, files: dict[str, str] = FILES) -> Path:
    """Turn a source wheel with the given files into a detectron2 wheel and return its path."""
    return tool.write_wheel(tool.read_detectron2(write_source(folder, files)), folder)


def contents(wheel: Path) -> dict[str, bytes]:
    """Return all files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_takes_only_the_detectron2_folder_under_its_own_name(tool, tmp_path):
    wheel = convert(tool, tmp_path)

    assert wheel.name == "detectron2-0.6+labgym3.1.2-py3-none-any.whl"
    files = contents(wheel)
    assert set(files) == {
        "detectron2/__init__.py",
        "detectron2/layers/__init__.py",
        "detectron2/model_zoo/configs/a.yaml",
        *(f"{INFO}/{name}" for name in ["METADATA", "WHEEL", "RECORD", "top_level.txt"]),
        *(f"{INFO}/{name}" for name in ["LICENSE", "NOTICE"]),
    }
    assert files["detectron2/layers/__init__.py"] == b"from detectron2 import _C\nx = 1\n"
    assert files["detectron2/model_zoo/configs/a.yaml"] == b"name: detectron2.engine\n"
    assert not any(b"LabGym" in files[name] for name in files if name.startswith("detectron2/"))


def test_record_has_the_hash_and_size_of_every_file(tool, tmp_path):
    files = contents(convert(tool, tmp_path))

    expected = {f"{INFO}/RECORD,,"}
    for name, content in files.items():
        if name != f"{INFO}/RECORD":
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
            expected.add(f"{name},sha256={digest.rstrip('=')},{len(content)}")
    lines = files[f"{INFO}/RECORD"].decode().splitlines()
    assert set(lines) == expected
    assert len(lines) == len(files)


def test_the_wheel_is_the_same_every_time(tool, tmp_path):
    first = convert(tool, tmp_path).read_bytes()
    assert convert(tool, tmp_path).read_bytes() == first


def test_licence_and_origin_are_in_the_wheel(tool, tmp_path):
    files = contents(convert(tool, tmp_path))

    assert b"Apache License" in files[f"{INFO}/LICENSE"]
    assert b"Facebook, Inc. and its affiliates" in files[f"{INFO}/NOTICE"]
    assert b"labgym-3.1.2-py3-none-any.whl" in files[f"{INFO}/NOTICE"]


def test_pip_accepts_the_wheel(tool, tmp_path):
    pytest.importorskip("pip")
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    wheel = convert(tool, tmp_path)
    subprocess.run([*command, "--target", str(target), str(wheel)], check=True)

    (installed,) = importlib.metadata.distributions(name="detectron2", path=[str(target)])
    assert installed.version == "0.6+labgym3.1.2"
    assert installed.metadata["License"] == "Apache-2.0"
    assert "setuptools<81" in installed.requires
    assert (target / "detectron2" / "__init__.py").is_file()


def test_a_name_that_is_left_stops(tool, tmp_path):
    files = FILES | {"LabGym/detectron2/engine.py": "import LabGym.tools\n"}
    with pytest.raises(tool.InstallError, match="is left in detectron2/engine.py"):
        convert(tool, tmp_path, files)


def test_a_wheel_without_the_folder_stops(tool, tmp_path):
    with pytest.raises(tool.InstallError, match="holds no LabGym/detectron2/"):
        convert(tool, tmp_path, {"LabGym/__init__.py": ""})


def test_another_file_stops_with_both_hashes_and_the_cure(tool, tmp_path, capsys, no_pip):
    wheel = write_source(tmp_path, FILES)
    actual = hashlib.sha256(wheel.read_bytes()).hexdigest()

    options = ["--wheel", str(wheel), "--wheel-dir", str(tmp_path / "out")]
    assert main(["install-detectron2", *options]) == 1

    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(wheel) in error
    assert f"should be {tool.SOURCE_SHA256}, got {actual}" in error
    assert "download LabGym==3.1.2 from PyPI again" in error
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_file_stops(tool, tmp_path, monkeypatch, capsys, no_pip):
    monkeypatch.setattr(tool, "find_installed", lambda: None)
    missing = str(tmp_path / "missing")
    assert main(["install-detectron2", "--wheel", missing]) == 1
    assert f"{missing} does not exist" in capsys.readouterr().err
    assert main(["install-detectron2", "--constraint", missing]) == 1
    assert f"{missing} does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--wheel", "missing.whl"]])
def test_an_installed_detectron2_is_left_alone(
    tool, tmp_path, monkeypatch, capsys, no_pip, options
):
    package = tmp_path / "detectron2"
    package.mkdir()
    # Importing it would fail: the script must only look.
    (package / "__init__.py").write_text('raise ImportError\n__version__ = "0.7"\n')
    monkeypatch.delitem(sys.modules, "detectron2", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))

    def no_metadata(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tool.importlib.metadata, "version", no_metadata)

    assert tool.find_installed() == ("0.7", package)
    assert main(["install-detectron2", *options]) == 0
    assert f"detectron2 0.7 is already installed in {package}" in capsys.readouterr().out


def test_a_folder_without_init_is_no_installation(tool, tmp_path, monkeypatch):
    (tmp_path / "detectron2").mkdir()
    monkeypatch.delitem(sys.modules, "detectron2", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    # Editable installations bring finders of their own.
    monkeypatch.setattr(sys, "meta_path", [importlib.machinery.PathFinder])
    assert tool.find_installed() is None


def test_without_a_network_one_line_names_the_cures(tool, monkeypatch, capsys):
    def fail(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "WARNING: x\nERROR: No matching y\n")

    monkeypatch.setattr(tool, "find_installed", lambda: None)
    monkeypatch.setattr(tool.subprocess, "run", fail)
    assert main(["install-detectron2"]) == 1

    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.match(r"error: could not download LabGym==3.1.2 .*--wheel FILE", error)
    assert "facebookresearch/detectron2.git" in error
    assert "(pip: No matching y)" in error


def test_installs_the_built_wheel_under_the_constraints(tool, tmp_path, monkeypatch, capsys):
    source = write_source(tmp_path, FILES)
    commands = []

    def record(command, **_):
        commands.append(command)
        assert zipfile.is_zipfile(command[-1])  # it is there while pip runs
        return subprocess.CompletedProcess(command, 0, "", "")

    hash_of_fake = hashlib.sha256(source.read_bytes()).hexdigest()
    monkeypatch.setattr(tool, "SOURCE_SHA256", hash_of_fake)
    monkeypatch.setattr(tool, "find_installed", lambda: None)
    monkeypatch.setattr(tool.subprocess, "run", record)

    assert main(["install-detectron2", "--wheel", str(source)]) == 0
    (command,) = commands
    assert command[:3] == [sys.executable, "-m", "pip"]
    assert command[command.index("-c") + 1] == str(SCRIPT.parents[1] / "constraints.txt")
    assert "is installed in" in capsys.readouterr().out


def test_the_script_needs_nothing_but_python(tmp_path):
    """In a clone where nothing is installed: isolated, without site-packages."""
    command = [sys.executable, "-I", "-S", str(SCRIPT), "--wheel", "missing", "--wheel-dir", "x"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: missing does not exist; pass the path of " + (
        "labgym-3.1.2-py3-none-any.whl\n"
    )


def test_the_licence_of_an_installed_package(tool, tmp_path, monkeypatch):
    """Where there is no clone, pip's record of fcos_d2 says where it is."""
    installed = tmp_path / "fcos_d2-0.1.0.dist-info" / "licenses" / "LICENSE"
    installed.parent.mkdir(parents=True)
    installed.write_text("the licence")
    file = importlib.metadata.PackagePath("fcos_d2-0.1.0.dist-info/licenses/LICENSE")
    file.dist = importlib.metadata.PathDistribution(installed.parents[1])
    monkeypatch.setattr(importlib.metadata, "files", lambda name: [file])
    monkeypatch.setattr(tool, "REPO", tmp_path)
    assert tool.license_text() == b"the licence"
    monkeypatch.setattr(importlib.metadata, "files", lambda name: None)
    with pytest.raises(tool.InstallError, match="LICENSE is missing"):
        tool.license_text()
