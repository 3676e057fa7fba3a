"""Fixtures and settings for all tests."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from stand_ins import TinyBackbone

import fcos_cli
import fcos_d2
import fcos_deploy

ROOT = Path(__file__).resolve().parents[1]
for package, command in (
    (fcos_d2, 'pip install -e ".[dev]"'),
    (fcos_cli, 'pip install -e ".[dev]"'),
    (fcos_deploy, "pip install -e ./deploy"),
):
    if not Path(package.__file__).resolve().is_relative_to(ROOT):
        # `pip install .` brings a copy, which changes of these files do not reach.
        pytest.exit(f"{package.__name__} comes from {package.__file__}: {command}", returncode=4)

# The tensors of the tests are small, and threads that wait for each other on a busy machine cost
# many times what they save.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Every test starts from the same random numbers, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_handlers_left() -> Iterator[None]:
    """No handler outlives the captured output, or the folder, of its test: it would write there."""
    yield
    for name in (None, "fcos_d2", "detectron2", "fvcore"):
        logger = logging.getLogger(name)
        for handler in logger.handlers[:]:
            file = getattr(handler, "baseFilename", None)
            is_closed = getattr(getattr(handler, "stream", None), "closed", False)
            if is_closed or (file is not None and not Path(file).parent.is_dir()):
                logger.removeHandler(handler)
                handler.close()


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder `shared` beside the repository, with reference data and sample data sets."""
    path = ROOT.parent / "shared"
    if not path.is_dir():
        pytest.skip("needs the folder 'shared' beside the repository, which is absent")
    return path


@pytest.fixture
def without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several processes on the CPU, on a machine with one GPU as well."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # for the processes


@pytest.fixture
def tiny_backbone() -> TinyBackbone:
    return TinyBackbone()
