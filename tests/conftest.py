"""Fixtures and settings for all tests."""

from pathlib import Path

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import Backbone
from torch import Tensor, nn

from fcos_d2.modeling import FCOSProposalGenerator

# The tensors of the tests are small, and threads that wait for each other on a busy machine cost
# many times what they save.
torch.set_num_threads(1)


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


class TinyBackbone(Backbone):
    """Levels p3 and p4 of strides 8 and 16 with 32 channels, from one convolution each."""

    def __init__(self) -> None:
        super().__init__()
        self.p3 = nn.Conv2d(3, 32, kernel_size=8, stride=8)
        self.p4 = nn.Conv2d(3, 32, kernel_size=16, stride=16)

    @property
    def size_divisibility(self) -> int:
        return 16

    def output_shape(self) -> dict[str, ShapeSpec]:
        return {"p3": ShapeSpec(channels=32, stride=8), "p4": ShapeSpec(channels=32, stride=16)}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"p3": self.p3(images).relu(), "p4": self.p4(images).relu()}


@pytest.fixture
def tiny_backbone() -> TinyBackbone:
    return TinyBackbone()


class NoHead(nn.Module):
    """In the place of a head where none is called."""

    num_classes, num_levels, quality_branch = 2, 2, True


def headless_generator(**options: object) -> FCOSProposalGenerator:
    """Levels of stride 8 and 16 that meet at 16 px."""
    return FCOSProposalGenerator(
        head=NoHead(),
        num_classes=2,
        in_features=["p3", "p4"],
        strides=[8, 16],
        size_bounds=[16],
        **options,
    )
