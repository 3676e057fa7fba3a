"""A predictor with random weights that finds a lot."""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from fcos_d2 import Predictor, model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer

SMALL = ["INPUT.MIN_SIZE_TEST", "64", "INPUT.MAX_SIZE_TEST", "128"]  # px
OPTS = ["MODEL.FCOS.NUM_CLASSES", "2", "MODEL.DEVICE", "cpu", *SMALL]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a detector of cats and dogs, with its config beside it."""
    torch.manual_seed(1)
    model = model_zoo.get_model("Recipes/R18-Scratch", OPTS)
    head = model.proposal_generator.fcos_head
    torch.nn.init.normal_(head.cls_logits.weight, std=1.0)
    torch.nn.init.constant_(head.cls_logits.bias, -1.0)
    torch.nn.init.constant_(head.bbox_pred.bias, 2.0)
    folder = tmp_path_factory.mktemp("weights")
    FCOSCheckpointer(model, str(folder), class_names=["cat", "dog"]).save("model")
    config = model_zoo.get_config("Recipes/R18-Scratch", OPTS)
    (folder / "config.yaml").write_text(config.dump())
    return str(Path(folder, "model.pth"))


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
