"""One model: tables and counts. Nothing here is timed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fcos_d2.benchmark import model
from fcos_d2.benchmark.subjects import Export, Recipe, TorchSubject, build, detector


class OneConv(nn.Module):
    """A detector in outline."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.head = nn.Identity()

    def forward(self, images: list[Tensor]) -> Tensor:
        return self.head(self.backbone(torch.stack(images)))


def subject() -> TorchSubject:
    model = OneConv()

    def prepare(image: np.ndarray) -> Tensor:
        return torch.as_tensor(image).permute(2, 0, 1).float()

    return TorchSubject("one", model, model.head, prepare, Recipe(detector))


def test_operations_of_one_convolution():
    # 2 images x 6 x 5 px x 4 output channels x (3 x 3 x 3 products and additions)
    expected = 2 * 6 * 5 * 4 * (3 * 3 * 3 * 2) / 1e9
    assert model.operations(subject(), model.random_images((6, 5), 2)) == expected


def test_parts_cover_the_call():
    parts = subject().parts(model.random_images((6, 5), 1))
    assert list(parts) == ["preprocess", "backbone", "head", "post-process"]
    assert all(milliseconds >= 0 for milliseconds in parts.values())


def test_tables_of_a_model():
    row = {
        "name": "m", "size": [512, 736], "batch": 2, "precision": "fp32", "median_ms": 200.0,
        "spread_ms": (190.0, 210.0), "images_per_second": 10.0, "ratio": 1.0, "gflop": 20.0,
        "parameters": 3_000_000, "memory_bytes": None, "parts_ms": {"engine": 1.25},
    }  # fmt: skip
    line = model.whole_table([row]).splitlines()[-1]
    assert line == (
        "| m, fp32 | 512x736 | 2 | 200.0 | 190.0 - 210.0 | 10.00 | 1.00 | 20.0 | 100.0 | 3.0 | - |"
    )
    line = model.parts_table([row]).splitlines()[-1]
    assert line == "| m | 512x736 | 2 | - | - | - | 1.2 | - |"


def test_folder_without_an_export(tmp_path: Path):
    with pytest.raises(ValueError, match="pip install ./deploy|infer.yaml"):
        build(Recipe(Export, str(tmp_path)), (64, 64))
