"""Boxes that are no [x, y, width, height] in pixels, and ones that only look odd."""

import copy

import numpy as np
import pytest

from fcos_d2.datasets.formats.coco import repair_coco

WIDTH, HEIGHT = 96, 72


def coco_of(boxes: list, areas: list | None = None, size: tuple = (WIDTH, HEIGHT)) -> dict:
    """One image for each box."""
    numbers = range(1, len(boxes) + 1)
    data = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": size[0], "height": size[1]} for i in numbers
        ],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": list(box)}
            for i, box in zip(numbers, boxes, strict=True)
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    for annotation, area in zip(data["annotations"], areas or [], strict=False):
        annotation["area"] = area
    return data


def random_boxes(number: int, seed: int, largest: float = 1.0) -> np.ndarray:
    """(number, 4) xywh, px, anywhere in the image; sides from 2 px to a share of the image."""
    rng = np.random.default_rng(seed)
    sides = rng.uniform(2, [WIDTH * largest, HEIGHT * largest], (number, 2))
    corners = rng.uniform(0, [WIDTH, HEIGHT] - sides)
    return np.concatenate((corners, sides), axis=1).round(1)


def as_corners(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1)


def as_shares(boxes: np.ndarray) -> np.ndarray:
    return boxes / [WIDTH, HEIGHT, WIDTH, HEIGHT]


def errors(data: dict) -> list[str]:
    return [p.kind for p in repair_coco(data, "x.json")[1] if p.severity == "error"]


RELATIVE = "boxes that look relative, shares of the image"
CORNERS = "boxes that look like corners, xyxy"


@pytest.mark.parametrize("number", [1, 2, 3, 50])
def test_shares_of_the_image(number):
    boxes = random_boxes(number, seed=number)
    data = coco_of(as_shares(boxes).tolist())
    coco, problems = repair_coco(data, "x.json")
    (problem,) = problems
    assert (problem.severity, problem.kind) == ("error", RELATIVE)
    assert f"{number} of {number} lie within [0, 1]" in problem.where and "96 x 72" in problem.where
    found = np.array([a["bbox"] for a in coco["annotations"]])
    np.testing.assert_allclose(found, boxes, atol=1e-9)


@pytest.mark.parametrize("number", [6, 20, 200])
@pytest.mark.parametrize("with_area", [True, False])
def test_corners(number, with_area):
    boxes = random_boxes(number, seed=number, largest=0.6)
    areas = boxes[:, 2:].prod(axis=1).tolist() if with_area else None
    coco, problems = repair_coco(coco_of(as_corners(boxes).tolist(), areas), "x.json")
    (problem,) = problems
    assert (problem.severity, problem.kind) == ("error", CORNERS)
    found = np.array([a["bbox"] for a in coco["annotations"]])
    np.testing.assert_allclose(found, boxes, atol=1e-9)


def test_the_area_tells_corners_of_one_box():
    assert errors(coco_of([[10, 10, 51, 41]], [41 * 31])) == [CORNERS]
    assert errors(coco_of([[10, 10, 51, 41]], [51 * 41])) == []
    assert errors(coco_of([[10, 10, 51, 41]], [900])) == [], "of a mask"
    assert errors(coco_of([[0, 0, 51, 41]], [51 * 41])) == [], "the same in both"


def test_shares_that_are_corners():
    boxes = random_boxes(30, seed=0, largest=0.6)
    data = coco_of(as_shares(as_corners(boxes)).tolist())
    coco, problems = repair_coco(data, "x.json")
    assert [p.kind for p in problems] == [RELATIVE, CORNERS]
    found = np.array([a["bbox"] for a in coco["annotations"]])
    np.testing.assert_allclose(found, boxes, atol=1e-9)


PERCENT = "boxes that look relative, percent of the image"
LARGE, WIDE = (640, 480), (1000, 300)  # sizes of images, width and height


def percent_set(corners: bool = False, scale: float = 1.0, sizes: tuple = (LARGE, WIDE)) -> dict:
    """Thirty boxes all over the images, in percent; one reaches to the lower right."""
    boxes = as_shares(random_boxes(30, seed=3, largest=0.5)) * 100
    boxes[0] = [60.5, 50.5, 39.5, 49.5]
    boxes[1, :2] = 0.5
    boxes *= scale
    data = coco_of((as_corners(boxes) if corners else boxes).tolist())
    for i, image in enumerate(data["images"]):
        image["width"], image["height"] = sizes[i % len(sizes)]
    return data


@pytest.mark.parametrize("corners", [False, True])
def test_percent_of_the_image(corners):
    expected = copy.deepcopy(percent_set())
    coco, problems = repair_coco(percent_set(corners), "x.json")
    assert [p.kind for p in problems] == [PERCENT, CORNERS][: 1 + corners]
    assert all(p.severity == "error" for p in problems)
    assert "30 of 30 lie within [0, 100]" in problems[0].where and "640 x 480" in problems[0].where
    for image, found, given in zip(
        expected["images"], coco["annotations"], expected["annotations"], strict=True
    ):
        sides = np.tile([image["width"], image["height"]], 2)
        np.testing.assert_allclose(found["bbox"], np.array(given["bbox"]) / 100 * sides)


NO_PERCENT = {
    "one passes 100": {"scale": 1.01},
    "they end before": {"scale": 0.9},
    "all images of one size, of which a corner may be used": {"sizes": (LARGE,)},
    "images hardly larger": {"sizes": (LARGE, (200, 480))},
}


@pytest.mark.parametrize("name", NO_PERCENT)
def test_what_may_be_pixels_stays(name):
    assert errors(percent_set(**NO_PERCENT[name])) == []


def test_few_boxes_and_whole_numbers_stay_pixels():
    few, whole = percent_set(), percent_set()
    few["annotations"] = few["annotations"][:19]
    for annotation in whole["annotations"]:
        annotation["bbox"] = [max(round(x) - 1, 0) for x in annotation["bbox"]]
    whole["annotations"][0]["bbox"] = [60, 50, 40, 50]
    assert errors(few) == errors(whole) == []


SOUND = {
    "one pixel in the corner": [[0, 0, 1, 1]],
    "one pixel in the corner of many": [[0, 0, 1, 1]] * 10,
    "the whole image": [[0, 0, WIDTH, HEIGHT]],
    "the whole image, often": [[0, 0, WIDTH, HEIGHT]] * 20,
    "touching the lower right": [[40, 30, WIDTH - 40, HEIGHT - 30]] * 20,
    "wide and touching": [[30, 20, WIDTH - 30, HEIGHT - 20]] * 20,
    "a pixel over the border": [[30, 20, WIDTH - 29, HEIGHT - 19]] * 20,
    "a tiny one in the corner": [[0.2, 0.3, 0.5, 0.4], [10, 10, 20, 20], [30, 10, 20, 20]],
    "one far over the border": [[40, 30, 90, 68]],
    "two over the border": [[40, 30, 90, 68], [41, 30, 90, 68], *[[10, 10, 20, 20]] * 8],
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_boxes_are_not_refused(name):
    boxes = SOUND[name]
    for areas in (None, [w * h for _, _, w, h in boxes]):
        data = coco_of(boxes, areas)
        given = copy.deepcopy(data["annotations"])
        coco, problems = repair_coco(data, "x.json")
        assert [p for p in problems if p.severity == "error"] == []
        for annotation, before in zip(coco["annotations"], given, strict=True):
            assert annotation["bbox"][:2] == before["bbox"][:2]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("number", [1, 2, 5, 40])
@pytest.mark.parametrize("largest", [0.1, 0.5, 1.0])
def test_boxes_anywhere_are_not_refused(seed, number, largest):
    boxes = random_boxes(number, seed, largest)
    assert errors(coco_of(boxes.tolist())) == []
    assert errors(coco_of(boxes.tolist(), boxes[:, 2:].prod(axis=1).tolist())) == []


def test_images_of_a_pixel_are_not_refused():
    assert errors(coco_of([[0.1, 0.1, 0.5, 0.5]], size=(1, 1))) == []
