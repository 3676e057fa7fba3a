"""Hugging Face's ImageFolder: both forms of objects, names of classes, and damaged tables."""

import json
import sys

import pytest
from layouts import write_image

from fcos_d2.datasets.formats import read_dataset


def read(folder, *rows):
    write_image(folder / "c.png")
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_dataset(folder)
    names = {x["id"]: x["name"] for x in found.coco["categories"]}
    boxes = [(names[a["category_id"]], *a["bbox"]) for a in found.coco["annotations"]]
    return boxes, [problem.kind for problem in found.problems]


def row(**objects):
    return {"file_name": "c.png", "objects": objects}


def test_names_and_numbers_without_names(tmp_path):
    assert read(tmp_path, row(bbox=[[1, 2, 3, 4]], categories=["x"]))[0] == [("x", 1, 2, 3, 4)]
    assert read(tmp_path, row(bbox=[[1, 2, 3, 4]], category=[7]))[0] == [("7", 1, 2, 3, 4)]


def test_a_list_of_objects(tmp_path):
    objects = [{"bbox": [1, 2, 3, 4], "category": "x"}, {"bbox": [5, 6, 7, 8], "category": "y"}]
    boxes, _ = read(tmp_path, {"file_name": "c.png", "objects": objects})
    assert boxes == [("x", 1, 2, 3, 4), ("y", 5, 6, 7, 8)]


def test_one_object_without_lists(tmp_path):
    assert read(tmp_path, row(bbox=[1, 2, 3, 4], category="x")) == ([("x", 1, 2, 3, 4)], [])
    assert read(tmp_path, row(bbox=[1, 2, 3, 4], category=7)) == ([("7", 1, 2, 3, 4)], [])


def test_whole_floats_are_numbers_of_classes(tmp_path):
    rows = row(bbox=[[1, 2, 3, 4]] * 2, categories=[1.0, 2])
    assert [name for name, *_ in read(tmp_path, rows)[0]] == ["1", "2"]


# A box of 16 x 8 px at (8, 4) in 32 x 32 px: as shares of the image, and as corners.
@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ([0.25, 0.125, 0.5, 0.25], "boxes that look relative, shares of the image"),
        ([8, 4, 24, 12], "boxes that look like corners, xyxy"),
    ],
)
def test_boxes_of_another_convention(tmp_path, box, kind):
    found = read(tmp_path, row(bbox=[box], categories=["x"], area=[16 * 8]))
    assert found == ([("x", 8, 4, 16, 8)], [kind])


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (row(bbox=[[1, 2, 3]], categories=["x"]), "box that is not four numbers"),
        (row(bbox=[[1, 2, 3, 4]], categories=[]), "boxes without categories"),
        (row(bbox=[[1, 2, 3, 4]], categories="x"), "boxes without categories"),
        (row(bbox=7, categories=1), "boxes without categories"),
        ({"file_name": "c.png", "objects": [[1, 2, 3, 4]]}, "boxes without categories"),
        (row(bbox=[[1, 2, 3, 4]], categories=[None]), "unknown category"),
        (row(bbox=[[1, 2, 3, 4]], categories=[0.5]), "unknown category"),
        ({"file_name": "gone.png", "objects": {}}, "image file missing"),
        ({"objects": {}}, "row without file_name"),
    ],
)
def test_a_bad_row_is_named_and_the_others_stay(tmp_path, bad, kind):
    boxes, problems = read(tmp_path, row(bbox=[[1, 2, 3, 4]], categories=["x"]), bad)
    assert (boxes, problems) == ([("x", 1, 2, 3, 4)], [kind])


def test_a_table_for_classification_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no 'objects' with boxes in it; is this for classif"):
        read(tmp_path, {"file_name": "c.png", "label": 3})


def test_a_line_that_is_no_json(tmp_path):
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "c.png"}\nnonsense\n')
    with pytest.raises(ValueError, match=r"metadata.jsonl: line 2 is not JSON"):
        read_dataset(tmp_path)


def test_parquet_with_the_names_that_datasets_keeps(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    write_image(tmp_path / "c.png")
    feature = {"objects": {"categories": {"feature": {"names": ["x", "y"], "_type": "ClassLabel"}}}}
    kept = {"huggingface": json.dumps({"info": {"features": feature}})}
    table = pa.Table.from_pylist([row(bbox=[[1, 2, 3, 4]], categories=[1])])
    pq.write_table(table.replace_schema_metadata(kept), tmp_path / "metadata.parquet")
    coco = read_dataset(tmp_path).coco
    assert [x["name"] for x in coco["categories"]] == ["y"]
    assert [a["bbox"] for a in coco["annotations"]] == [[1, 2, 3, 4]]


@pytest.mark.parametrize("kept", ["[]", '{"info": 3}', "no json", "[" * 100_000])
def test_parquet_with_other_words_in_that_place(tmp_path, kept):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    write_image(tmp_path / "c.png")
    table = pa.Table.from_pylist([row(bbox=[[1, 2, 3, 4]], categories=[1])])
    table = table.replace_schema_metadata({"huggingface": kept})
    pq.write_table(table, tmp_path / "metadata.parquet")
    assert [x["name"] for x in read_dataset(tmp_path).coco["categories"]] == ["1"]


CARD = """---
dataset_info:
  features:
  - name: objects
    sequence:
    - {name: category, dtype: {class_label: {names: {'0': cat, '1': dog}}}}
---
# Pets
"""
# Each line has nine of the one before: 9 ** 9 values.
BOMB = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10))
BOMB = f"---\na0: &a0 [1]\n{BOMB}\ndataset_info: *a9\n---\n"


@pytest.mark.parametrize(("card", "name"), [(CARD, "dog"), (BOMB, "1"), ("---\n: [\n---\n", "1")])
def test_names_in_the_card_of_the_dataset(tmp_path, card, name):
    (tmp_path / "README.md").write_text(card)
    assert read(tmp_path, row(bbox=[[1, 2, 3, 4]], categories=[1]))[0] == [(name, 1, 2, 3, 4)]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "metadata.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"parquet needs pyarrow: pip install 'fcos_d2\[parquet\]"):
        read_dataset(tmp_path)
