"""The ids of annotations."""

import pytest

from fcos_d2.datasets.formats.coco import repair_coco


@pytest.mark.parametrize(
    ("ids", "severities"),
    [
        ([0, 1], ["note"]),  # as Label Studio counts
        ([0, 0], ["warning", "warning"]),
        ([0, -1], ["warning", "warning"]),
        ([1, 1], ["warning"]),
    ],
)
def test_ids_that_count_from_0_are_no_mistake(ids, severities):
    data = {
        "images": [{"id": 1, "file_name": "a.png", "height": 60, "width": 80}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": 3, "bbox": [1, 2, 9, 9 + i]}
            for i, number in enumerate(ids)
        ],
        "categories": [{"id": 3, "name": "cat"}],
    }
    coco, problems = repair_coco(data, "x.json")
    assert [p.severity for p in problems] == severities
    assert sorted(a["id"] for a in coco["annotations"]) == [1, 2]
