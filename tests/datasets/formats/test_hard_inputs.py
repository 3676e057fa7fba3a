"""Every damaged annotation file of the collection has the right outcome."""

import json
import re
from pathlib import Path

import pytest

from fcos_d2.datasets.formats import read_dataset

# What is said of the file: the kinds of problems, or the sentence that refuses it ("!").
COCO = {
    "good": [],
    "empty_image": [],
    "no_annotations_at_all": [],
    "no_annotations_key": "no list 'annotations'; is this a COCO detection file?",
    "no_info_no_licenses": [],
    "crowd": [],
    "only_crowd": [],
    "zero_size": ["box without area"],
    "negative_size": ["box of negative width or height"],
    "out_of_bounds": ["box beyond the image", "box outside the image"],
    "nan_box": ["box that is not four finite numbers"],
    "three_number_box": ["box that is not four finite numbers"],
    "missing_bbox": ["box that is not four finite numbers"],
    "missing_area_iscrowd": [],
    "unknown_category": ["unknown category"],
    "unknown_image": ["annotation of an image that is not listed or was left out"],
    "duplicate_ann_ids": ["annotation id that is 0, double or none"],
    "ann_id_zero": ["annotation id that is 0, double or none"],
    "duplicate_image_ids": [
        "two images with one id",
        "annotation of an image that is not listed or was left out",
    ],
    "string_ids": ["ids written as text"],
    "category_id_zero": [],
    "missing_file": [
        "image file missing",
        "annotation of an image that is not listed or was left out",
    ],
    "wrong_size": ["image of another size than stated"],
    "no_size": ["image without size"],
    "unreadable_image": [
        "image unreadable",
        "annotation of an image that is not listed or was left out",
    ],
    "exif_rotated_image": [],
    "no_images": "'images' is empty; training needs at least one",
    "no_categories": "'categories' is empty; training needs at least one",
    "not_json": "not valid JSON",
    "top_level_list": "no list 'images'; is this a COCO detection file?",
    "empty_file": "not valid JSON",
}
VOC = {
    "v01_plain": [],
    "v02_voc2008_occluded": [],
    "v03_float_coords": [],
    "v04_bndbox_order": [],
    "v05_part_boxes": [],
    "v06_no_flags": [],
    "v07_difficult": [],
    "v08_empty": [],
    "v09_zero_size_box": ["box without area"],
    "v10_reversed": ["box with swapped corners"],
    "v11_out_of_bounds": ["box beyond the image"],
    "v12_no_size": [],
    "v13_zero_size_tag": [],
    "v14_wrong_size": ["image of another size than stated"],
    "v15_wrong_filename": [],
    "v16_unknown_class": ["unknown category"],
    "v17_missing_bndbox": ["object without name or with a box that is not four numbers"],
    "v18_non_numeric": ["object without name or with a box that is not four numbers"],
    "v19_not_well_formed": ["annotation file is not well-formed"],
    "v20_spaces_in_values": [],
    "v21_bom_and_encoding": [],
    "v22_no_annotation": ["annotation file missing"],
    "v23_no_image": ["image file missing"],
}
# Boxes of the WBC in VOC, from 1-based corners 260, 177, 491, 376.
WBC = [259, 176, 232, 200]


@pytest.fixture(scope="module")
def hard(shared_dir) -> Path:
    return shared_dir / "data" / "hard_inputs"


def kinds(problems: list) -> list[str]:
    return list(dict.fromkeys(problem.kind for problem in problems))


def test_every_case_is_in_the_tables(hard):
    assert set(COCO) == {path.stem for path in (hard / "coco_json").glob("*.json")}
    assert set(VOC) == set(json.loads((hard / "voc_xml" / "manifest.json").read_text())) - {
        "_note"
    } - {"good"}


@pytest.mark.parametrize("case", COCO)
def test_coco(hard, case):
    path, expected = hard / "coco_json" / f"{case}.json", COCO[case]
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=f"{case}.json: {re.escape(expected)}"):
            read_dataset(path, images=hard / "images")
        return
    coco, problems, _, _ = read_dataset(path, images=hard / "images")
    assert kinds(problems) == expected
    assert_sound(coco, hard / "images")
    if case == "wrong_size":
        assert (coco["images"][0]["height"], coco["images"][0]["width"]) == (480, 640)
        assert coco["annotations"][0]["bbox"] == WBC, "not cut to the wrong size"
    if case == "out_of_bounds":
        assert [600, 400, 40, 80] in [a["bbox"] for a in coco["annotations"]]
    if case in ("crowd", "only_crowd"):
        assert any(a["iscrowd"] for a in coco["annotations"])


@pytest.mark.parametrize("case", VOC)
def test_voc(hard, tmp_path, case):
    classes = tmp_path / "classes.txt"
    classes.write_text("RBC\nWBC\nPlatelets\n")
    coco, problems, images, name = read_dataset(f"{hard / 'voc_xml'}:{case}", classes=classes)
    assert (name, kinds(problems)) == ("voc", VOC[case])
    assert_sound(coco, images)
    boxes = [a["bbox"] for a in coco["annotations"]]
    if not VOC[case] and case not in ("v08_empty", "v03_float_coords"):
        assert boxes[0] == WBC
    if case == "v03_float_coords":
        assert boxes[0] == pytest.approx([259.5, 176.25, 231.5, 199.75])
    if case == "v07_difficult":
        assert [a["difficult"] for a in coco["annotations"]] == [1, 0]
    if case == "v11_out_of_bounds":
        assert boxes == [[0, 0, 640, 480]]


def assert_sound(coco: dict, images: Path) -> None:
    """What training needs: known ids, each once, boxes with area inside their images."""
    records = {image["id"]: image for image in coco["images"]}
    assert len(records) == len(coco["images"])
    categories = {category["id"] for category in coco["categories"]}
    ids = [annotation["id"] for annotation in coco["annotations"]]
    assert len(set(ids)) == len(ids) and all(i > 0 for i in ids)
    for image in records.values():
        assert (images / image["file_name"]).is_file()
    for annotation in coco["annotations"]:
        x, y, width, height = annotation["bbox"]
        image = records[annotation["image_id"]]
        assert annotation["category_id"] in categories
        assert width > 0 and height > 0 and x >= 0 and y >= 0
        assert x + width <= image["width"] and y + height <= image["height"]
        assert annotation["area"] > 0 and annotation["iscrowd"] in (0, 1)
