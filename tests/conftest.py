"""Fixtures and settings for all tests."""

from pathlib import Path

import pytest
import torch

# The tensors of the tests are small: more threads than this cost more than they give.
torch.set_num_threads(min(torch.get_num_threads(), 4))


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Every test starts from the same random numbers, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder `shared` beside the repository, with reference data and sample data sets."""
    path = Path(__file__).resolve().parents[2] / "shared"
    if not path.is_dir():
        pytest.skip("needs the folder 'shared' beside the repository, which is absent")
    return path
