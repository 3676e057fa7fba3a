"""The wheel that `pip install .` installs: both packages, the configs inside, and no more."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Looked up by metadata: setuptools takes the mere search for the module pip as a sign of a build.
INSTALLED = {distribution.name for distribution in importlib.metadata.distributions()}
MISSING = {"pip", "setuptools", "wheel"} - INSTALLED


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[set[str], str]:
    """File names and metadata of a wheel built from a copy of the repository."""
    if MISSING:
        pytest.skip(f"a wheel cannot be built without {', '.join(MISSING)}")
    copy = tmp_path_factory.mktemp("repository")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, copy)
    for name in ("fcos_d2", "configs", "deploy", "tools", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    deep = copy / "configs" / "one" / "two"
    deep.mkdir(parents=True)
    (deep / "deep.yaml").touch()
    (deep / "deep.py").touch()

    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    folder = copy / "wheels"
    subprocess.run([*command, "-w", str(folder), str(copy)], check=True)
    (wheel,) = folder.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        return names, archive.read(metadata).decode()


def test_all_configs_are_inside_the_package(built):
    names, _ = built
    configs = [path for path in (ROOT / "configs").rglob("*") if path.suffix in (".yaml", ".py")]
    expected = {
        f"fcos_d2/configs/{path.relative_to(ROOT / 'configs').as_posix()}" for path in configs
    }
    expected |= {"fcos_d2/configs/one/two/deep.yaml", "fcos_d2/configs/one/two/deep.py"}
    assert expected - names == set()


def test_all_modules_are_in_the_wheel(built):
    names, _ = built
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "fcos_d2").rglob("*.py")}
    deploy = ROOT / "deploy"
    modules |= {path.relative_to(deploy).as_posix() for path in deploy.rglob("fcos_deploy/**/*.py")}
    assert modules - names == set()


def test_nothing_else_is_installed(built):
    names, _ = built
    assert {name.split("/")[0].split("-")[0] for name in names} == {"fcos_d2", "fcos_deploy"}


def test_metadata(built):
    _, metadata = built
    (version,) = re.findall(r"^Version: (.+)$", metadata, re.MULTILINE)
    assert f'__version__ = "{version}"' in (ROOT / "fcos_d2" / "__init__.py").read_text()
    assert "\nRequires-Python: >=3.10\n" in metadata
    assert "\nRequires-Dist: torch>=2.6\n" in metadata
    # pip would look for it on PyPI, where it is not.
    assert "detectron2" not in [
        line.split()[1] for line in metadata.splitlines() if line.startswith("Requires-Dist:")
    ]
