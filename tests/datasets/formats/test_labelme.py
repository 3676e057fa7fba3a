"""labelme: shapes to boxes, groups, and files that are damaged."""

import json

import pytest
from layouts import write_image

from fcos_d2.datasets.formats import read_dataset


def read(folder, *shapes, path="c.png"):
    """Boxes xywh by class, and the kinds of problems."""
    write_image(folder / "c.png")
    (folder / "c.json").write_text(json.dumps({"shapes": shapes, "imagePath": path}))
    found = read_dataset(folder)
    names = {x["id"]: x["name"] for x in found.coco["categories"]}
    boxes = [(names[a["category_id"]], *a["bbox"]) for a in found.coco["annotations"]]
    return boxes, [problem.kind for problem in found.problems]


def shape(kind, *points, label="a", group=None):
    return {"label": label, "shape_type": kind, "points": [*points], "group_id": group}


def test_shapes_with_an_area(tmp_path):
    boxes, problems = read(
        tmp_path,
        shape("rectangle", [20, 30], [10, 5]),
        shape("polygon", [1, 2], [9, 4], [5, 12]),
        shape("circle", [10, 10], [13, 14]),  # radius 5
    )
    assert boxes == [("a", 10, 5, 10, 25), ("a", 1, 2, 8, 10), ("a", 5, 5, 10, 10)]
    assert problems == []


def test_a_group_is_one_object(tmp_path):
    parts = [shape("polygon", [1, 1], [5, 1], [5, 5], group=3)]
    parts += [shape("rectangle", [8, 2], [12, 9], group=3)]
    parts += [shape("rectangle", [0, 0], [2, 2], group=3, label="b")]
    assert read(tmp_path, *parts)[0] == [("a", 1, 1, 11, 8), ("b", 0, 0, 2, 2)]


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (shape("point", [3, 3]), "shape without area"),
        (shape("rectangle", [3, "x"], [4, 5]), "shape without label or with points that are not"),
        ({"points": [[1, 1], [5, 5]]}, "shape without label or with points that are not numbers"),
        (7, "shape without label or with points that are not numbers"),
    ],
)
def test_a_bad_shape_is_named_and_the_others_stay(tmp_path, bad, kind):
    boxes, problems = read(tmp_path, shape("rectangle", [1, 1], [4, 4]), bad)
    assert boxes == [("a", 1, 1, 3, 3)]
    assert len(problems) == 1 and problems[0].startswith(kind)


def test_a_missing_image_is_named(tmp_path):
    write_image(tmp_path / "d.png")
    (tmp_path / "x.json").write_text(json.dumps({"shapes": [], "imagePath": "gone.png"}))
    assert [p.kind for p in read_dataset(tmp_path).problems] == ["image file missing"]
    data = {"shapes": [], "imagePath": "old/gone.png", "imageData": "iVBO"}
    (tmp_path / "x.json").write_text(json.dumps(data))
    (problem,) = read_dataset(tmp_path).problems
    assert problem.kind == "image only inside its json file, as imageData"
    assert "x.json: save it as gone.png beside it; labelme_export_json" in problem.where
