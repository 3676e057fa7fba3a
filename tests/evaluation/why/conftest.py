"""A predictor with random weights that finds a lot."""

import copy
from collections.abc import Iterator

import numpy as np
import pytest
from random_weights import OPTS, write_detector

from fcos_d2 import Predictor


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_detector(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def loaded(weights: str) -> Predictor:
    return Predictor("Recipes/R18-Scratch", weights, opts=OPTS)


@pytest.fixture
def predictor(loaded: Predictor) -> Iterator[Predictor]:
    """One that a test may change."""
    generator = loaded.model.proposal_generator
    selection = generator.test_selection
    yield copy.copy(loaded)
    generator.test_selection = selection


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)
