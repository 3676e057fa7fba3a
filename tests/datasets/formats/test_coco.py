"""What nobody means to write into a COCO file, and what is made of it."""

import copy
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from fcos_d2.datasets.formats.coco import read_coco, repair_coco
from fcos_d2.datasets.formats.coco_fields import has_mask

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
    ("bbox", [1, 2, 0, 4], "box without area", 0),
    ("bbox", [31, 12, -30, 40], "box of negative width or height", 1),
    ("bbox", [31, 42, 30, -40], "box of negative width or height", 1),
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
    ("ignore", 0, "", 1),
    ("ignore", 7, "ignore that is neither 0 nor 1", 1),
    ("id", "a1", "ids written as text", 1),
    ("id", 2**53 + 1, "ids below 0 or beyond 2**53", 1),
    ("segmentation", None, "", 1),
    ("segmentation", [], "", 1),
    ("segmentation", [[1, 2, 31, 2, 31, 42]], "", 1),
    ("segmentation", {"size": [60, 80], "counts": [100, 50, 4650]}, "", 1),
    ("segmentation", [[]], "segmentation that is no mask", 1),
    ("segmentation", [[1, 2]], "segmentation that is no mask", 1),
    ("segmentation", [[1, 2, 31, 42]], "segmentation that is no mask", 1),
    ("segmentation", [1, 2, 31, 2, 31, 42], "segmentation that is no mask", 1),
    ("segmentation", [[1, 2, 31, None, 31, 42]], "segmentation that is no mask", 1),
    ("segmentation", "text", "segmentation that is no mask", 1),
    ("segmentation", {"size": [60, 80]}, "segmentation that is no mask", 1),
    ("segmentation", {"size": [60, 81], "counts": [4860]}, "segmentation that is no mask", 1),
    ("segmentation", {"size": [60, 80], "counts": [9, 9]}, "segmentation that is no mask", 1),
    ("keypoints", [1, 2, 2], "", 1),
    ("keypoints", None, "", 1),
    ("keypoints", [1, None, 2], "keypoints that are not three numbers each", 1),
    ("keypoints", [1, "b", 2], "keypoints that are not three numbers each", 1),
    ("keypoints", [1, 2], "keypoints that are not three numbers each", 1),
    ("keypoints", "text", "keypoints that are not three numbers each", 1),
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


@pytest.mark.parametrize(
    "entry", [None, {"id": 3}, {"id": None, "name": "y"}, {"id": 1, "name": 2}]
)
def test_categories_that_cannot_be_used_are_refused(entry):
    data = copy.deepcopy(GOOD)
    data["categories"] = [entry]
    with pytest.raises(ValueError, match="x.json: every category needs an id of its own"):
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
    assert next(p.kind for p in problems) == "image file missing" and coco["images"] == []


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


def test_a_box_drawn_from_the_lower_right_is_turned_around():
    for box in ([31, 42, -30, -40], [31, 2, -30, 40], [1, 42, 30, -40]):
        coco, problems = repair_coco(with_field("annotations", "bbox", box), "x.json")
        assert coco["annotations"][0]["bbox"] == [1, 2, 30, 40]
        assert [p.repair for p in problems] == ["turned around"]


def test_ignore_counts_as_crowd_and_is_gone():
    for value in (1, True, "1"):
        coco, problems = repair_coco(with_field("annotations", "ignore", value), "x.json")
        (annotation,) = coco["annotations"]
        assert annotation["iscrowd"] == 1 and "ignore" not in annotation
        assert [(p.severity, p.kind) for p in problems] == [("note", "box with ignore 1")]


def test_polygons_that_are_none_go_and_the_others_stay():
    sound = [1, 2, 31, 2, 31, 42]
    coco, _ = repair_coco(
        with_field("annotations", "segmentation", [sound, [1, 2, 3], []]), "x.json"
    )
    assert coco["annotations"][0]["segmentation"] == [sound]


@pytest.mark.parametrize(
    ("angle", "box"),
    [
        # 120 x 20 around (80, 80); at 45 degrees both sides are (120 + 20) / sqrt(2) = 98.99.
        (45.0, [30.5025, 30.5025, 98.995, 98.995]),
        (-45, [30.5025, 30.5025, 98.995, 98.995]),
        (90, [70, 20, 20, 120]),
        (180.0, [20, 70, 120, 20]),
        (0.0, [20, 70, 120, 20]),
        ("45", [20, 70, 120, 20]),
    ],
)
def test_the_box_around_a_rotated_one(angle, box):
    data = with_field("annotations", "bbox", [20.0, 70.0, 120.0, 20.0])
    data["images"][0].update(height=160, width=160)
    data["annotations"][0]["attributes"] = {"occluded": False, "rotation": angle}
    coco, problems = repair_coco(data, "x.json")
    assert coco["annotations"][0]["bbox"] == pytest.approx(box, abs=1e-3)
    assert bool(problems) == (box != [20, 70, 120, 20])
    again, problems = repair_coco(coco, "x.json")
    assert again["annotations"][0]["bbox"] == pytest.approx(box, abs=1e-3), "not turned twice"
    assert problems == []


def test_the_root_category_of_roboflow_is_left_out():
    data = copy.deepcopy(GOOD)
    data["categories"] = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 3, "name": "cat", "supercategory": "pets"},
    ]
    coco, problems = repair_coco(copy.deepcopy(data), "x.json")
    assert coco["categories"] == [{"id": 3, "name": "cat"}]
    assert [p.kind for p in problems] == ["root category without boxes, as Roboflow writes"]
    data["annotations"].append({**data["annotations"][0], "id": 2, "category_id": 0})
    coco, problems = repair_coco(copy.deepcopy(data), "x.json")
    assert [x["name"] for x in coco["categories"]] == ["pets", "cat"], "it has a box"
    assert problems == []
    data["annotations"].pop()
    data["categories"][1]["supercategory"] = "animals"
    coco, _ = repair_coco(data, "x.json")
    assert [x["name"] for x in coco["categories"]] == ["pets", "cat"], "no parent of the other"


IDS = [  # of three images
    (["01", "1", "001"], "ids written as text"),
    (["0000001_d_0000001", "0000002_d_0000002", "a b"], "ids written as text"),
    ([1, "1", "01"], "ids written as text"),
    ([2**53, 2**53 + 1, 2**53 + 2], "ids below 0 or beyond 2**53"),
    ([2**70, 2**64 + 1, 1], "ids below 0 or beyond 2**53"),
    ([-1, 0, 1], "ids below 0 or beyond 2**53"),
    ([0, 7, 2**53], ""),
]


@pytest.mark.parametrize(("ids", "kind"), IDS)
@pytest.mark.parametrize("section", ["images", "categories"])
def test_ids_are_told_apart_and_fit_every_tool(section, ids, kind):
    field = {"images": "image_id", "categories": "category_id"}[section]
    data = copy.deepcopy(GOOD)
    entry, annotation = data[section][0], data["annotations"][0]
    data[section] = [{**entry, "id": x, "file_name": f"{i}.png"} for i, x in enumerate(ids)]
    data["annotations"] = [
        {**annotation, "id": i, field: x, "bbox": [i, 2, 30, 40]} for i, x in enumerate(ids, 1)
    ]
    if section == "categories":
        for number, category in enumerate(data[section]):
            category["name"] = f"class {number}"
    coco, problems = repair_coco(data, "x.json")
    assert [p.kind for p in problems] == ([kind] if kind else [])
    source = {x["id"]: x.get("source_id", x["id"]) for x in coco[section]}
    assert all(type(x) is int and 0 <= x <= 2**53 for x in source)
    assert [source[a[field]] for a in coco["annotations"]] == ids
    assert [type(source[a[field]]) for a in coco["annotations"]] == [type(x) for x in ids]


def test_a_number_and_its_text_may_point_to_one_image():
    for given, pointer in ((1, "1"), ("1", 1), (1, 1.0), (-4, "-4")):
        data = with_field("images", "id", given)
        data["annotations"][0]["image_id"] = pointer
        coco, _ = repair_coco(data, "x.json")
        assert len(coco["annotations"]) == 1
    for given, pointer in (("01", 1), ("1", "01"), (10, "1_0"), (1, True), (1, [1])):
        data = with_field("images", "id", given)
        data["annotations"][0]["image_id"] = pointer
        coco, problems = repair_coco(data, "x.json")
        assert coco["annotations"] == [] and problems[-1].kind.startswith("annotation of an image")


def test_classes_keep_the_order_of_their_numbers():
    """Also where those are written as texts; other texts keep the order of the file."""
    for ids, order in (([10, 9, 2], "cba"), (["10", "9", "2"], "cba"), (["x", "b", "c"], "abc")):
        data = copy.deepcopy(GOOD)
        data["categories"] = [{"id": x, "name": n} for x, n in zip(ids, "abc", strict=True)]
        data["annotations"] = []
        coco, _ = repair_coco(data, "x.json")
        assert "".join(x["name"] for x in coco["categories"]) == order


@pytest.mark.parametrize("seed", range(5))
def test_compressed_run_lengths_that_fill_the_image_are_masks(seed):
    size = {"height": 60, "width": 80}
    mask = np.random.default_rng(seed).random((60, 80)) < [0.5, 0.01, 0.99, 0.2, 0.001][seed]
    mask[3:5, 40:] = True
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    encoded["counts"] = encoded["counts"].decode("ascii")
    assert has_mask({"segmentation": encoded}, size)
    assert not has_mask({"segmentation": encoded}, {"height": 60, "width": 81})
    assert not has_mask({"segmentation": {**encoded, "counts": encoded["counts"][:-1]}}, size)
    nothing = coco_mask.encode(np.zeros((60, 80), np.uint8, order="F"))
    assert not has_mask({"segmentation": {**nothing, "counts": nothing["counts"].decode()}}, size)
