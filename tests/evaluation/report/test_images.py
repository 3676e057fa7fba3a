"""Slices of a set beside evaluations of their images alone."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from noisy_detector import drawn_truth, noisy_results

from fcos_d2.evaluation.matches import average_precision, match
from fcos_d2.evaluation.report.figures import FIGURES, mean_figure
from fcos_d2.evaluation.report.images import mean_brightness, slices
from fcos_d2.evaluation.results import DetectionSet


@pytest.fixture
def data():
    truth = drawn_truth(9, images=24)
    for i, image in enumerate(truth["images"]):
        image |= {
            "camera": "front" if i % 3 else "back",
            "night": i < 5,
            "number": i,
            "name": f"{i}",
        }
        image["width"] = 100 + 10 * i
    return DetectionSet(truth=truth, detections=noisy_results(truth, 9))


def figures_of(data: DetectionSet, ids: set) -> dict[str, float]:
    truth = data.truth | {
        "images": [x for x in data.truth["images"] if x["id"] in ids],
        "annotations": [x for x in data.truth["annotations"] if x["image_id"] in ids],
    }
    rows = [x for x in data.detections if x["image_id"] in ids]
    precision = average_precision(match(DetectionSet(truth=truth, detections=rows)))
    return {name: float(mean_figure(precision, name)[0]) for name in FIGURES}


def test_fields_of_the_json(data):
    found = {
        x["by"]: {part["name"]: part for part in x["parts"]} for x in slices(data, match(data))
    }
    assert set(found["camera"]) == {"front", "back"}
    back = {image["id"] for image in data.images if image["camera"] == "back"}
    row = found["camera"]["back"]
    expected = figures_of(data, back)
    assert {name: row[name] for name in FIGURES} == pytest.approx(expected, nan_ok=True)
    assert row["images"] == 8
    mine = [x for x in data.truth["annotations"] if x["image_id"] in back and not x["iscrowd"]]
    assert row["boxes"] == len(mine)
    assert set(found["night"]) == {"True", "False"}
    assert len(found["number"]) == 3  # too many for a slice of each
    assert "name" not in found  # each image has another
    assert "file_name" not in found


def test_a_missing_value_that_is_nan(data):
    """As pandas writes it; every NaN of a json file is the same object."""
    nan = float("nan")
    images = [{**x, "camera": nan if x["night"] else x["camera"]} for x in data.truth["images"]]
    some = replace(data, truth=data.truth | {"images": images})
    (found,) = (x["parts"] for x in slices(some, match(some)) if x["by"] == "camera")
    assert {x["name"]: x["images"] for x in found} == {"front": 13, "back": 6}


def test_numbers_are_cut_into_thirds(data):
    found = {x["by"]: x["parts"] for x in slices(data, match(data), np.arange(24.0))}
    assert [x["name"] for x in found["brightness"]] == [
        "0 to 7 of 255",
        "8 to 15 of 255",
        "16 to 23 of 255",
    ]
    assert [x["images"] for x in found["brightness"]] == [8, 8, 8]
    assert sum(x["images"] for x in found["number of objects"]) == 24
    assert len(found["image size"]) == 3
    first = {image["id"] for image in data.images[:8]}
    expected = figures_of(data, first)
    row = found["brightness"][0]
    assert {name: row[name] for name in FIGURES} == pytest.approx(expected, nan_ok=True)


def test_what_is_the_same_everywhere_is_no_slice(data):
    same = data.truth | {"images": [{**x, "camera": "only", "width": 9} for x in data.images]}
    names = [x["by"] for x in slices(replace(data, truth=same), match(data))]
    assert "camera" not in names
    assert "image size" not in names


def test_brightness(tmp_path, data, caplog):
    few = replace(data, truth=data.truth | {"images": data.images[:3], "annotations": []})
    few = replace(few, detections=[], folder=tmp_path)
    for i, grey in enumerate((50, 200)):
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), np.full((300, 400, 3), grey, np.uint8))
    found = mean_brightness(few)
    np.testing.assert_allclose(found, [50, 200, np.nan], atol=2)
    assert "1 of 3 images cannot be read" in caplog.text
    assert mean_brightness(replace(few, folder=tmp_path / "absent")) is None
    assert mean_brightness(replace(few, folder=None)) is None
