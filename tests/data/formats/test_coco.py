"""What nobody means to write into a COCO file, and what is made of it."""

import copy
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from fcos_d2.data.formats.coco import read_coco, repair_coco

GOOD = {
    "images": [{"id": 1, "file_name": "a.png", "height": 60, "width": 80}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 30, 40], "area": 9, "iscrowd": 0}
    ],
    "categories": [{"id": 3, "name": "cat"}],
}
ENDLESS = 10**400  # an integer that no float holds
ANNOTATION = [  # field, value, kind of problem or "", boxes that are left
    ("bbox", [1, 2, math.nan, 4], "box that is not four finite numbers", 0),
    ("bbox", [1, 2, math.inf, 4], "box that is not four finite numbers", 0),
    ("bbox", [1, 2, ENDLESS, 4], "box that is not four finite numbers", 0),
    ("bbox", [1, 2, True, 4], "box that is not four finite numbers", 0),
    ("bbox", ["1", 2, 3, 4], "box that is not four finite numbers", 0),
    ("bbox", list(range(1000)), "box that is not four finite numbers", 0),
    ("bbox", {"x": 1}, "box that is not four finite numbers", 0),
    ("bbox", [1, 2, -3, 4], "box without area", 0),
    ("bbox", [80, 0, 5, 5], "box outside the image", 0),
    ("bbox", [78, 0, 5, 5], "box beyond the image", 1),
    ("bbox", [78, 0, 2.5, 5], "", 1),
    ("category_id", 4, "unknown category", 0),
    ("category_id", [3], "unknown category", 0),
    ("category_id", None, "unknown category", 0),
    ("category_id", 3.0, "", 1),
    ("category_id", "3", "", 1),
    ("image_id", 1.5, "annotation of an image that is not listed or was left out", 0),
    ("id", 0, "annotation id that is 0, double or none", 1),
    ("id", -4, "annotation id that is 0, double or none", 1),
    ("id", None, "annotation id that is 0, double or none", 1),
    ("area", math.nan, "area that is no positive number", 1),
    ("area", -1, "area that is no positive number", 1),
    ("area", None, "", 1),
    ("iscrowd", "0", "", 1),
    ("iscrowd", None, "", 1),
    ("iscrowd", 7, "iscrowd that is neither 0 nor 1", 1),
]


def with_field(section: str, field: str, value: object) -> dict:
    data = copy.deepcopy(GOOD)
    data[section][0][field] = value
    return data


@pytest.mark.parametrize(("field", "value", "kind", "boxes"), ANNOTATION)
def test_fields_of_annotations(field, value, kind, boxes):
    coco, problems = repair_coco(with_field("annotations", field, value), "x.json")
    assert [p.kind for p in problems] == ([kind] if kind else [])
    assert all(len(str(p)) < 200 for p in problems), "one line, whatever the value"
    assert len(coco["annotations"]) == boxes
    for annotation in coco["annotations"]:
        assert annotation["iscrowd"] == 0 and 0 < annotation["area"] < math.inf
        assert annotation["id"] >= 1


def test_a_crowd_stays_one():
    for value in (1, True, "1"):
        coco, problems = repair_coco(with_field("annotations", "iscrowd", value), "x.json")
        assert coco["annotations"][0]["iscrowd"] == 1 and problems == []


@pytest.mark.parametrize("side", [None, 0, -80, 1.5, math.inf, math.nan, ENDLESS, True, "80"])
def test_sizes_without_a_look_at_the_files(side):
    coco, problems = repair_coco(with_field("images", "width", side), "x.json")
    assert coco["images"] == [] and problems[0].kind == "image without size"


def test_a_size_written_as_a_float():
    coco, problems = repair_coco(with_field("images", "width", 80.0), "x.json")
    assert type(coco["images"][0]["width"]) is int and problems == []


@pytest.mark.parametrize("entry", [None, 3, "a", [1]])
@pytest.mark.parametrize("section", ["images", "annotations"])
def test_entries_that_are_no_objects(section, entry):
    data = copy.deepcopy(GOOD)
    data[section].append(entry)
    coco, problems = repair_coco(data, "x.json")
    assert [(p.severity, p.kind) for p in problems] == [("error", "entry that is no object")]
    assert problems[0].where.startswith(f"x.json: {section}[1]: ")
    assert len(coco["images"]) == len(coco["annotations"]) == 1


@pytest.mark.parametrize("entry", [None, {"id": 3}, {"id": "x", "name": "y"}, {"id": 1, "name": 2}])
def test_categories_that_cannot_be_used_are_refused(entry):
    data = copy.deepcopy(GOOD)
    data["categories"] = [entry]
    with pytest.raises(ValueError, match="x.json: every category needs an integer id of its own"):
        repair_coco(data, "x.json")


def test_classes_of_the_same_name():
    data = copy.deepcopy(GOOD)
    data["categories"].append({"id": 4, "name": "cat"})
    _, problems = repair_coco(data, "x.json")
    assert [str(p) for p in problems] == [
        "warning: classes of the same name: x.json: 2 classes 'cat'"
    ]


def test_the_same_annotation_twice_is_kept_once():
    data = copy.deepcopy(GOOD)
    data["annotations"].append({**data["annotations"][0], "id": 2})
    coco, problems = repair_coco(data, "x.json")
    assert [p.kind for p in problems] == ["annotation given twice"]
    assert [a["id"] for a in coco["annotations"]] == [1]


def test_a_file_name_that_is_too_long(tmp_path):
    data = with_field("images", "file_name", "a" * 300)
    coco, problems = repair_coco(data, "x.json", tmp_path)
    assert [p.kind for p in problems][0] == "image file missing" and coco["images"] == []


@pytest.fixture
def folder(tmp_path) -> Path:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((60, 80, 3), np.uint8))
    return tmp_path


def test_a_byte_order_mark_is_passed_over(folder):
    (folder / "x.json").write_text(json.dumps(GOOD), encoding="utf-8-sig")
    coco, problems = read_coco(folder / "x.json", folder)
    assert coco == GOOD and problems == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 100_000, "not valid JSON"),
        (b'{"images": "\xe9"}', r"byte 12 \(0xe9, in line 1\) is not UTF-8; save"),
        (b"\xff\xfe[\0", "not valid JSON"),
    ],
)
def test_bytes_that_are_no_json_are_refused(folder, content, words):
    (folder / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match=f"x.json: {words}") as refusal:
        read_coco(folder / "x.json", folder)
    assert "\n" not in str(refusal.value)


def test_files_that_are_not_there(folder):
    with pytest.raises(ValueError, match="cannot be read"):
        read_coco(folder / "absent.json", folder)
    (folder / "x.json").write_text(json.dumps(GOOD))
    with pytest.raises(ValueError, match="no such folder of images"):
        read_coco(folder / "x.json", folder / "absent")
