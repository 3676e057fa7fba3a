"""`fcos install-detectron2`: make detectron2 importable in this Python.

detectron2 has no release on PyPI. This command takes the copy of it (main branch, version 0.6) that
ships inside another project's wheel there, gives it back its own name, packs it as a wheel of its
own and installs that with pip. The copy is pure Python: what needs detectron2's compiled
operators (deformable convolution, rotated boxes, the fast COCO evaluation) is not in it. A
detectron2 that is already there, a CUDA build say, is left alone.

tools/install_detectron2.py runs this file in a clone where nothing is installed yet, so it needs no
more than Python itself.
"""

import argparse
import base64
import hashlib
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]  # in a clone

SUMMARY = "install a pure-Python detectron2, which PyPI does not have"

EXAMPLES = """\
fcos install-detectron2
fcos install-detectron2 --wheel labgym-3.1.2-py3-none-any.whl

One that is already installed is left alone. Otherwise a copy of detectron2 0.6 is taken from the
wheel of LabGym on PyPI and installed with pip. It lacks the compiled operators; with them:
python -m pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2.git'"""

SOURCE = "LabGym==3.1.2"
SOURCE_FILE = "labgym-3.1.2-py3-none-any.whl"
SOURCE_SHA256 = "a2900cff8a3fb508e1975f19b5f9abd9f261966db87b0c332697fb4138c1cb2b"
# The wheel declares Python < 3.11 for its other parts; the copy of detectron2 runs on newer ones.
SOURCE_PYTHON = "3.10"
SOURCE_FOLDER = "LabGym/detectron2/"

VERSION = "0.6+labgym3.1.2"
HOMEPAGE = "https://github.com/facebookresearch/detectron2"
OFFICIAL_INSTALL = f"python -m pip install --no-build-isolation 'git+{HOMEPAGE}.git'"

# torch and torchvision are left out, as in detectron2's own list: which build of them (CPU, CUDA)
# is the user's choice. The model zoo imports pkg_resources: gone in setuptools 82, and setuptools
# itself tells its users to stay below 81.
REQUIREMENTS = [
    "fvcore",
    "iopath",
    "pycocotools",
    "omegaconf",
    "hydra-core",
    "yacs",
    "tabulate",
    "cloudpickle",
    "matplotlib",
    "tensorboard",
    "termcolor",
    "tqdm",
    "pillow",
    "black",
    "packaging",
    "setuptools<81",
]

NOTICE = f"""\
detectron2
Copyright (c) Facebook, Inc. and its affiliates.
{HOMEPAGE}
Licensed under the Apache License, Version 2.0 (see LICENSE).

This copy was taken from the folder {SOURCE_FOLDER} of the wheel {SOURCE_FILE} on PyPI.
There the package is named "LabGym.detectron2"; in all files that name was changed back to
"detectron2". Nothing else was changed, and nothing else of that wheel is in here.

Parts adapted from other projects keep the notices at their heads: modeling/backbone/swin.py
(Copyright (c) 2021 Microsoft, MIT License) and evaluation/pascal_voc_evaluation.py (Fast/er R-CNN,
MIT License).
"""


class InstallError(Exception):
    """A reason to stop that the user can act on, told in one line."""


def find_installed() -> tuple[str, Path] | None:
    """Return version and folder of the detectron2 that Python would import, or None.

    Nothing is imported: detectron2 would load torch.
    """
    spec = importlib.util.find_spec("detectron2")
    # A folder of that name without an __init__.py (a git checkout, remains of an uninstalled
    # package) gives a spec too, but no file.
    if spec is None or spec.origin is None:
        return None
    init = Path(spec.origin)
    try:
        version = importlib.metadata.version("detectron2")
    except importlib.metadata.PackageNotFoundError:  # copied by hand: no metadata
        found = re.search(r'^__version__ = "(.+)"', init.read_text(encoding="utf-8"), re.MULTILINE)
        version = found.group(1) if found else "of unknown version"
    return version, init.parent


def download_source(folder: Path) -> Path:
    """Download the wheel that holds the copy into `folder` and return its path."""
    run_pip(
        [
            "download",
            "-q",
            "--retries=2",
            "--no-deps",
            "--only-binary=:all:",
            "-d",
            str(folder),
            f"--python-version={SOURCE_PYTHON}",
            SOURCE,
        ],
        f"could not download {SOURCE} from PyPI; with a network install the official way "
        f"({OFFICIAL_INSTALL}), without one fetch {SOURCE_FILE} elsewhere and pass --wheel FILE",
    )
    return folder / SOURCE_FILE


def check_hash(wheel: Path) -> None:
    """Raise InstallError unless `wheel` is, byte by byte, the file this script was written for."""
    if not wheel.is_file():
        raise InstallError(f"{wheel} does not exist; pass the path of {SOURCE_FILE}")
    actual = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if actual != SOURCE_SHA256:
        raise InstallError(
            f"{wheel} is not the expected file: sha256 should be {SOURCE_SHA256}, got {actual}; "
            f"delete it and download {SOURCE} from PyPI again"
        )


def read_detectron2(wheel: Path) -> dict[str, bytes]:
    """Return the files of the copy under their original names, `detectron2/...` to content."""
    files = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(SOURCE_FOLDER) and not name.endswith("/"):
                content = archive.read(name).replace(b"LabGym.detectron2", b"detectron2")
                files[name.removeprefix("LabGym/")] = content
    if "detectron2/__init__.py" not in files:
        raise InstallError(f"{wheel} holds no {SOURCE_FOLDER}; pass the path of {SOURCE_FILE}")
    leftover = [name for name, content in files.items() if b"labgym" in content.lower()]
    if leftover:
        raise InstallError(f"the name LabGym is left in {leftover[0]}; use {SOURCE_FILE}")
    return files


def license_text() -> bytes:
    """Return the Apache License, from the clone or from what pip has installed of fcos_d2."""
    try:
        files = importlib.metadata.files("fcos_d2") or []
    except importlib.metadata.PackageNotFoundError:  # a clone, before anything is installed
        files = []
    paths = [Path(file.locate()) for file in files if file.name == "LICENSE"]
    for path in (*paths, REPO / "LICENSE"):
        if path.is_file():
            return path.read_bytes()
    raise InstallError(f"{REPO / 'LICENSE'} is missing; restore it, it goes into the wheel")


def metadata_files() -> dict[str, bytes]:
    """Return the files of the wheel's .dist-info folder, all but RECORD."""
    metadata = f"""\
Metadata-Version: 2.1
Name: detectron2
Version: {VERSION}
Summary: Object detection and segmentation on PyTorch (pure-Python copy)
License: Apache-2.0
License-File: LICENSE
License-File: NOTICE
Project-URL: Homepage, {HOMEPAGE}
Requires-Python: >=3.8
""" + "".join(f"Requires-Dist: {requirement}\n" for requirement in REQUIREMENTS)
    wheel = "Wheel-Version: 1.0\nGenerator: install_detectron2\nRoot-Is-Purelib: true\n"
    return {
        "METADATA": metadata.encode(),
        "WHEEL": f"{wheel}Tag: py3-none-any\n".encode(),
        "top_level.txt": b"detectron2\n",
        "LICENSE": license_text(),
        "NOTICE": NOTICE.encode(),
    }


def write_wheel(package: dict[str, bytes], folder: Path) -> Path:
    """Pack the package's files and their metadata as a wheel in `folder` and return its path."""
    info = f"detectron2-{VERSION}.dist-info"
    files = package | {f"{info}/{name}": content for name, content in metadata_files().items()}
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    # RECORD lists itself without a hash.
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()

    path = folder / f"detectron2-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)  # its fixed date makes the wheel the same every time
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return path


def run_pip(arguments: list[str], failure: str) -> None:
    """Run pip in this Python; raise InstallError with `failure` and pip's own reason."""
    if importlib.util.find_spec("pip") is None:
        raise InstallError(f"{sys.executable} has no pip; run `{sys.executable} -m ensurepip`")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or ["no message"]
        reason = next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1])
        raise InstallError(f"{failure} (pip: {reason.removeprefix('ERROR: ')})")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    pinned = REPO / "constraints.txt"
    parser.add_argument(
        "--constraint",
        type=Path,
        metavar="FILE",
        default=pinned if pinned.is_file() else None,
        help="versions pip may choose among for detectron2's requirements; an empty file lets it "
        "choose freely (default: constraints.txt of this repository, in a clone)",
    )
    parser.add_argument(
        "--wheel-dir",
        type=Path,
        metavar="DIR",
        help="write the detectron2 wheel into DIR and install nothing, whatever is installed",
    )
    parser.add_argument(
        "--wheel",
        type=Path,
        metavar="FILE",
        help=f"an already downloaded {SOURCE_FILE}, for machines without a network",
    )


def build(source: Path | None, folder: Path) -> Path:
    """Write the detectron2 wheel into `folder`, from `source` or a download; return its path."""
    with tempfile.TemporaryDirectory() as temporary:
        if source is None:
            print(f"downloading {SOURCE} from PyPI for its copy of detectron2 (2 MB)")
            source = download_source(Path(temporary))
        check_hash(source)
        return write_wheel(read_detectron2(source), folder)


def run(options: argparse.Namespace) -> int:
    """Do what the options ask for and return the exit code."""
    try:
        install(options)
    except InstallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def install(options: argparse.Namespace) -> None:
    """Install detectron2, or write its wheel; raise InstallError if that cannot be done."""
    if options.wheel_dir is not None:
        options.wheel_dir.mkdir(parents=True, exist_ok=True)
        print(f"wrote {build(options.wheel, options.wheel_dir)}")
        return
    installed = find_installed()
    if installed is not None:
        print(f"detectron2 {installed[0]} is already installed in {installed[1]}; left as it is")
        return
    if options.constraint is not None and not options.constraint.is_file():
        raise InstallError(f"--constraint {options.constraint} does not exist; pass a file")
    with tempfile.TemporaryDirectory() as temporary:
        wheel = build(options.wheel, Path(temporary))
        print(f"installing detectron2 {VERSION} and what it requires")
        pinned = [] if options.constraint is None else ["-c", str(options.constraint)]
        run_pip(
            ["install", "-q", *pinned, str(wheel)],
            "could not install detectron2's requirements; check the network, or install "
            f"the official way: {OFFICIAL_INSTALL}",
        )
    print(f"detectron2 {VERSION} is installed in {sys.prefix}")
