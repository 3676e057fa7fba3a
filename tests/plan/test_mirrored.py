import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fcos_d2.engine import Request
from fcos_d2.plan import mirrored, plan_request
from fcos_d2.plan.mirrored import one_sided_classes

SIZE = 96  # px of an image, which holds one object
Draw = Callable[[np.ndarray, np.random.Generator], None]


def letter(picture: np.ndarray, rng: np.random.Generator) -> None:
    cv2.putText(picture, "R", (28, 66), cv2.FONT_HERSHEY_SIMPLEX, 1.7, (255,) * 3, 5)


def ring(picture: np.ndarray, rng: np.random.Generator) -> None:
    radius = int(rng.integers(12, 30))
    cv2.circle(picture, (48, 48), radius, (200, 120, 60), int(rng.integers(2, 8)))


def either_side(picture: np.ndarray, rng: np.random.Generator) -> None:
    letter(picture, rng)
    if rng.random() < 0.5:
        picture[:] = picture[:, ::-1].copy()


def turned(picture: np.ndarray, most: float, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(-most, most)
    matrix = cv2.getRotationMatrix2D((48, 48), angle, rng.uniform(0.7, 1.1))
    matrix[:, 2] += rng.uniform(-6, 6, 2)
    return cv2.warpAffine(picture, matrix, (SIZE, SIZE))


def made(folder: Path, count: int = 60, most: float = 20.0, **classes: Draw) -> dict:
    """One object in each picture, turned a little; its box is what is bright."""
    rng = np.random.default_rng(0)
    coco: dict = {"images": [], "annotations": []}
    coco["categories"] = [{"id": 3 + i, "name": name} for i, name in enumerate(classes)]
    for i in range(count * len(classes)):
        category, draw = [*enumerate(classes.values())][i % len(classes)]
        picture = np.zeros((SIZE, SIZE, 3), np.uint8)
        draw(picture, rng)
        picture = turned(picture, most, rng)
        ys, xs = np.nonzero(picture.max(axis=2) > 40)
        box = [xs.min(), ys.min(), xs.max() + 1 - xs.min(), ys.max() + 1 - ys.min()]
        noise = rng.normal(30, 10, picture.shape)
        cv2.imwrite(str(folder / f"{i}.png"), np.clip(picture * 0.6 + noise, 0, 255))
        size = {"height": SIZE, "width": SIZE}
        coco["images"].append({"id": i, "file_name": f"{i}.png", **size})
        annotation = {"image_id": i, "category_id": 3 + category, "bbox": [*map(float, box)]}
        coco["annotations"].append({"id": i + 1, "iscrowd": 0, **annotation})
    return coco


def test_writing_has_a_side_and_rings_have_none(tmp_path: Path) -> None:
    coco = made(tmp_path, letter=letter, ring=ring)
    assert one_sided_classes(coco, tmp_path) == ["letter"]


@pytest.mark.parametrize(
    ("nearer", "found"),
    [
        # Of 100 each: 0.65 of all is 5.2 deviations above a half; none alone reaches 0.7.
        ([65, 70, 60], ["a", "b", "c"]),
        ([85, 61, 49], ["a", "b"]),
        # 0.55 of all; 0.72 of one is 4.4 deviations.
        ([72, 45, 48], ["a"]),
        ([69, 50, 50], []),
    ],
)
def test_all_classes_together_or_one(monkeypatch, nearer: list[int], found: list[str]) -> None:
    classes = [{"id": i, "name": name} for i, name in enumerate("abc")]
    monkeypatch.setattr(mirrored, "_objects", lambda *_: {i: (i, None) for i in range(3)})
    monkeypatch.setattr(mirrored, "_nearer", lambda i, *_: np.arange(100) < nearer[i])
    assert one_sided_classes({"categories": classes}, "") == found


@pytest.mark.parametrize(("draw", "most"), [(either_side, 20.0), (ring, 180.0)])
def test_what_faces_both_sides(tmp_path: Path, draw: Draw, most: float) -> None:
    assert one_sided_classes(made(tmp_path, most=most, thing=draw), tmp_path) == []


def test_too_few_objects_tell_nothing(tmp_path: Path) -> None:
    assert one_sided_classes(made(tmp_path, count=19, letter=letter), tmp_path) == []


def test_objects_of_one_image_are_not_compared(tmp_path: Path) -> None:
    """A row of equal letters: only other images tell whether letters face both sides."""
    coco = made(tmp_path, count=30, letter=letter)
    for annotation in coco["annotations"]:
        annotation["image_id"] = 0
    assert one_sided_classes(coco, tmp_path) == []


def test_crowds_and_broken_and_flat_and_tiny_ones_do_not_count(tmp_path: Path) -> None:
    coco = made(tmp_path, letter=letter)
    for i in range(15):
        (tmp_path / f"{i}.png").write_bytes(b"no picture")
        cv2.imwrite(str(tmp_path / f"{15 + i}.png"), np.full((SIZE, SIZE, 3), 90, np.uint8))
        coco["annotations"][30 + i]["iscrowd"] = 1
    assert one_sided_classes(coco, tmp_path) == []  # 15 are left
    coco = made(tmp_path, letter=letter)
    for annotation in coco["annotations"][:45]:
        annotation["bbox"][2:] = [5.0, 40.0]
    assert one_sided_classes(coco, tmp_path) == []


def test_blood_cells_and_everyday_objects_may_be_mirrored(shared_dir: Path) -> None:
    for name, file, images in (
        ("bccd", "coco/instances_train.json", "JPEGImages"),
        ("coco_sample", "annotations/instances_all.json", "images"),
    ):
        folder = shared_dir / "data" / name
        coco = json.loads((folder / file).read_text(encoding="utf-8"))
        assert one_sided_classes(coco, folder / images) == []


@pytest.mark.parametrize(
    ("draw", "flag", "expected", "words"),
    [
        (letter, None, "none", "thing: mirrored, they look like nothing in these pictures"),
        (letter, True, "horizontal", "yours"),
        (ring, None, "horizontal", "no class has a left and a right"),
    ],
)
def test_the_plan_obeys(tmp_path: Path, draw: Draw, flag, expected: str, words: str) -> None:
    (tmp_path / "images").mkdir()
    coco = made(tmp_path / "images", count=40, thing=draw)
    (tmp_path / "train.json").write_text(json.dumps(coco))
    request = Request(
        config_file="",
        train_data=str(tmp_path / "train.json"),
        train_images=str(tmp_path / "images"),
        val_data=str(tmp_path / "train.json"),
        val_images=str(tmp_path / "images"),
        start="scratch",
        device="cpu",
        flip=flag,
    )
    planned = plan_request(request, str(tmp_path / "out"), timing=False)
    assert expected == planned.cfg.INPUT.RANDOM_FLIP
    assert words in planned.plan.reasons()["INPUT.RANDOM_FLIP"]
