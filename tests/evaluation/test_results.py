"""Files of results: read, and refused in one line."""

import json
import logging

import numpy as np
import pytest
from noisy_detector import detection_set

from fcos_d2.evaluation import results
from fcos_d2.evaluation.results import DetectionSet, read_results

TRUTH = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "width": 100, "height": 50},
        {"id": 3, "file_name": "b.jpg", "width": 100, "height": 50},
    ],
    "categories": [{"id": 2, "name": "cat"}, {"id": 1, "name": "dog"}],
    "annotations": [
        {"id": 0, "image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4], "iscrowd": 0},
        {"id": 1, "image_id": 3, "category_id": 1, "bbox": [5, 5, 9, 9], "area": 50, "iscrowd": 1},
    ],
}
ROW = {"image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5}


def read(tmp_path, rows, truth=TRUTH):
    path = tmp_path / "results.json"
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return read_results(path, truth)


def test_rows_have_the_ids_of_the_data(tmp_path):
    rows = [ROW, ROW | {"image_id": "3", "category_id": 1.0}]
    assert read(tmp_path, rows) == [ROW, ROW | {"image_id": 3, "category_id": 1}]


def test_text_ids(tmp_path):
    truth = TRUTH | {"images": [{"id": "x", "width": 9, "height": 9}], "annotations": []}
    rows = read(tmp_path, [ROW | {"image_id": "x"}], truth)
    data = DetectionSet(truth=truth, detections=rows)
    assert data.found.image.tolist() == [0]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("{not json", "no json"),
        ({"images": [], "annotations": []}, "a COCO results file is a json list"),
        ([5], "row 1 is no detection: 5"),
        ([{"image_id": 7, "score": 1}], "row 1 has no category_id, no bbox"),
        ([{k: v for k, v in ROW.items() if k != "score"}], "these are annotations"),
        ([ROW | {"image_id": [1]}], "row 1 has ids that are none"),
        ([ROW, ROW | {"image_id": 8}], "row 2 is on image 8, which the data lack"),
        ([ROW | {"category_id": 9}], "category_id 9 is not in the data, whose ids are 1, 2;"),
        ([ROW | {"category_id": 0}, ROW | {"category_id": 1}], r"\+ 1 would fit"),
        ([ROW | {"category_id": 3}], "- 1 would fit"),
        ([ROW | {"score": float("nan")}], "are not five numbers"),
        ([ROW | {"bbox": [1, 2, 3]}], "are not five numbers"),
        ([ROW | {"bbox": None}], "are not five numbers"),
        ([ROW | {"score": "0.5"}], "are not five numbers"),
        ([ROW | {"score": True}], "are not five numbers"),
        ([ROW | {"score": 97.5}], "score 97.5 is not between 0 and 1"),
        ([ROW | {"score": -0.1}], "is not between 0 and 1"),
        ([ROW | {"bbox": [9, 9, -3, 4]}], "negative width or height"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, rows, words):
    with pytest.raises(ValueError, match=words) as caught:
        read(tmp_path, rows)
    assert "\n" not in str(caught.value)
    assert "results.json" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="no such file of results"):
        read_results(tmp_path / "absent.json", TRUTH)


def test_without_hotcoco(monkeypatch):
    monkeypatch.setattr(results, "hotcoco", None)
    with pytest.raises(ValueError, match="need hotcoco: pip install hotcoco"):
        detection_set([], [])


@pytest.mark.parametrize("key", ["images", "categories"])
def test_ids_that_stand_twice(key):
    truth = TRUTH | {key: [*TRUTH[key], TRUTH[key][0]]}
    with pytest.raises(ValueError, match=f"several {key} have the id {TRUTH[key][0]['id']}"):
        DetectionSet(truth=truth, detections=[])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no detection at all"),
        ([ROW] * 5, "4 rows repeat others exactly"),
        ([ROW | {"bbox": [60, 20, 90, 45 + i]} for i in range(4)], "not x1, y1, x2, y2"),
        ([ROW | {"bbox": [0.1, 0.2, 0.5, 0.1 * i]} for i in range(4)], "not in shares of a side"),
    ],
)
def test_what_looks_like_a_mistake_is_said_once(tmp_path, caplog, rows, words):
    with caplog.at_level(logging.WARNING):
        read(tmp_path, rows)
    assert len(caplog.records) == 1
    assert words in caplog.text


@pytest.mark.parametrize(
    "bbox", [[0, 0, 100, 50], [-0.5, -0.5, 101, 51], [10, 10, 0, 0], [90, 40, 10, 10]]
)
def test_what_is_right_is_not_doubted(tmp_path, caplog, bbox):
    with caplog.at_level(logging.WARNING):
        assert read(tmp_path, [ROW | {"bbox": bbox}])[0]["bbox"] == bbox
    assert not caplog.records


def test_indices_are_in_the_order_of_the_ids():
    data = DetectionSet(truth=TRUTH, detections=[ROW])
    assert [x["id"] for x in data.images] == [3, 7]
    assert data.class_names == ["dog", "cat"]
    assert (data.objects.image.tolist(), data.objects.label.tolist()) == ([1, 0], [1, 0])
    assert data.objects.area.tolist() == [12, 50]
    assert data.objects.crowd.tolist() == [False, True]
    np.testing.assert_array_equal(data.rows, [[2, 1, 2, 3, 4, 0.5, 2]])


def test_a_set_without_boxes_has_empty_arrays():
    data = detection_set([], [])
    assert data.objects.xywh.shape == (0, 4)
    assert data.rows.shape == (0, 7)
    assert data.coco.get_img_ids() == [1]
