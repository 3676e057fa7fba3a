"""The wheels of both distributions: who owns which files, what they need, what building leaves."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
FOLDERS = ("fcos_d2", "fcos_cli", "configs", "deploy", "benchmarks", "tests", "tools")
LEFTOVERS = shutil.ignore_patterns("__pycache__", "build", "dist", "*.egg-info")
# Looked up by metadata: setuptools takes the mere search for the module pip as a sign of a build.
INSTALLED = {distribution.name for distribution in importlib.metadata.distributions()}
MISSING = {"setuptools", "wheel"} - INSTALLED
if MISSING:
    pytest.skip(f"needs {', '.join(MISSING)}", allow_module_level=True)


def copy_repository(target: Path) -> Path:
    target.mkdir(parents=True)
    for name in FILES:
        shutil.copy(ROOT / name, target)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, target / name, ignore=LEFTOVERS)
    return target


def all_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def hook(name: str, source: Path, output: Path) -> str:
    """What a hook of the build backend returns, as pip calls it."""
    call = f"from setuptools import build_meta; print(build_meta.{name}({str(output)!r}))"
    command = [sys.executable, "-B", "-W", "ignore", "-c", call]
    done = subprocess.run(command, cwd=source, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[-1]


def build(source: Path, output: Path) -> tuple[set[str], Message]:
    """File names and metadata of the wheel of `source`."""
    output.mkdir()
    wheel = hook("build_wheel", source, output)
    with zipfile.ZipFile(output / wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        return names, Parser().parsestr(archive.read(metadata).decode())


def requirements(metadata: Message) -> list[str]:
    return metadata.get_all("Requires-Dist", [])


def requirement_of_deploy(source: Path, output: Path) -> str:
    """From the metadata alone, which pip reads first."""
    output.mkdir()
    folder = output / hook("prepare_metadata_for_build_wheel", source, output)
    metadata = Parser().parsestr((folder / "METADATA").read_text(encoding="utf-8"))
    (found,) = [line for line in requirements(metadata) if line.startswith("fcos_deploy")]
    return found


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A copy with a config deep inside, in which others have built before."""
    copy = copy_repository(tmp_path_factory.mktemp("packaging") / "repository")
    deep = copy / "configs" / "one" / "two"
    deep.mkdir(parents=True)
    (deep / "deep.yaml").touch()
    (deep / "deep.py").touch()
    for package, name in ((copy, "fcos_d2"), (copy / "deploy", "fcos_deploy")):
        stale = package / "build" / "lib" / name
        stale.mkdir(parents=True)
        (stale / "of_an_earlier_build.py").touch()
    return copy


@pytest.fixture(scope="module")
def built(repository) -> dict[str, tuple[set[str], Message]]:
    before = all_files(repository)
    wheels = {
        "fcos_d2": build(repository, repository.parent / "wheels"),
        "fcos_deploy": build(repository / "deploy", repository.parent / "deploy-wheels"),
    }
    assert all_files(repository) == before, "building leaves nothing behind"
    return wheels


def test_all_configs_are_inside_the_package(built):
    names, _ = built["fcos_d2"]
    configs = [path for path in (ROOT / "configs").rglob("*") if path.suffix in (".yaml", ".py")]
    expected = {
        f"fcos_d2/configs/{path.relative_to(ROOT / 'configs').as_posix()}" for path in configs
    }
    expected |= {"fcos_d2/configs/one/two/deep.yaml", "fcos_d2/configs/one/two/deep.py"}
    assert expected - names == set()


@pytest.mark.parametrize(
    ("distribution", "folder", "packages"),
    [
        ("fcos_d2", ROOT, ["fcos_d2", "fcos_cli"]),
        ("fcos_deploy", ROOT / "deploy", ["fcos_deploy"]),
    ],
)
def test_a_distribution_owns_its_packages_whole_and_alone(built, distribution, folder, packages):
    names, _ = built[distribution]
    assert {name.split("/")[0].split("-")[0] for name in names} == set(packages)
    for package in packages:
        paths = (folder / package).rglob("*.py")
        modules = {path.relative_to(folder).as_posix() for path in paths}
        assert (modules | {f"{package}/py.typed"}) - names == set()
    assert not any("earlier_build" in name for name in names)


@pytest.mark.parametrize("folder", ["fcos_d2/pages/templates", "fcos_d2/ui/page"])
def test_the_files_of_pages_are_installed(built, folder):
    names, _ = built["fcos_d2"]
    files = {path.name for path in (ROOT / folder).iterdir()}
    assert files and {f"{folder}/{x}" for x in files} <= names


def test_the_command_is_installed(built, repository):
    names, _ = built["fcos_d2"]
    (entry,) = [name for name in names if name.endswith("entry_points.txt")]
    (wheel,) = (repository.parent / "wheels").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "fcos = fcos_cli.main:main" in archive.read(entry).decode()


def test_metadata(built):
    _, metadata = built["fcos_d2"]
    assert metadata["Requires-Python"] == ">=3.10"
    names = {re.split(r"[ ;<>=@]", line)[0] for line in requirements(metadata)}
    assert {"torch", "fcos_deploy"} <= names
    assert "detectron2" not in names  # pip would look for it on PyPI, where it is not


def test_the_runtime_needs_neither_torch_nor_fcos_d2(built):
    _, metadata = built["fcos_deploy"]
    needed = {re.split(r"[ ;<>=]", line)[0] for line in requirements(metadata)}
    assert needed == {"numpy", "opencv-python", "pillow", "pyyaml", "onnxruntime", "openvino"}


def test_one_version(built):
    versions = {metadata["Version"] for _, metadata in built.values()}
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    versions.add(re.search(r"^## (\S+)", changes, re.MULTILINE)[1])
    versions.add(re.search(r"^version: (\S+)$", citation, re.MULTILINE)[1])
    for package in (ROOT / "fcos_d2", ROOT / "deploy" / "fcos_deploy"):
        text = (package / "__init__.py").read_text(encoding="utf-8")
        versions.add(re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)[1])
    assert len(versions) == 1, versions


def test_a_clone_brings_its_own_runtime(repository, tmp_path):
    found = requirement_of_deploy(repository, tmp_path / "out")
    assert found == f"fcos_deploy @ {(repository / 'deploy').as_uri()}"


def test_what_pip_cloned_names_the_commit(tmp_path):
    """The temporary folder is gone when pip takes the wheel out of its cache."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    clone = copy_repository(tmp_path / "pip-req-build-x1y2z3")
    for words in (
        ["init", "-q"],
        ["remote", "add", "origin", "https://user:token@example.com/fcos_d2.git"],
        ["-c", "user.name=a", "-c", "user.email=b@c", "commit", "-qm", "m", "--allow-empty"],
    ):
        subprocess.run(["git", "-C", str(clone), *words], check=True)
    found = requirement_of_deploy(clone, tmp_path / "out")
    address = (
        r"fcos_deploy @ git\+https://example\.com/fcos_d2\.git@[0-9a-f]{40}#subdirectory=deploy"
    )
    assert re.fullmatch(address, found), found


def test_without_the_folder_the_runtime_comes_by_version(tmp_path):
    source = copy_repository(tmp_path / "sdist")
    shutil.rmtree(source / "deploy")
    version = re.search(
        r'^__version__ = "(.+)"$', (ROOT / "fcos_d2/__init__.py").read_text(), re.MULTILINE
    )[1]
    assert requirement_of_deploy(source, tmp_path / "out") == f"fcos_deploy=={version}"
