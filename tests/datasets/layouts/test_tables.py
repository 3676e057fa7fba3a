"""Folders with a table of boxes: CSV, that of Open Images, and the one of an ImageFolder."""

import json
import shutil

import pytest
from layouts import LAYOUTS, TRAIN, one_json

from fcos_d2.datasets.folder import find_data
from fcos_d2.datasets.formats import read_dataset


def test_a_csv_of_other_images_is_no_second_reading(tmp_path):
    one_json(tmp_path)
    (tmp_path / "old.csv").write_text("gone.png,1,1,9,9,dog\n")
    assert len(find_data(tmp_path).lines) == 1
    (tmp_path / "old.csv").write_text("c.png,1,1,9,9,dog\n")
    with pytest.raises(ValueError, match="two ways that differ.*CSV of boxes"):
        find_data(tmp_path)


def test_a_csv_without_rows_is_said(tmp_path):
    LAYOUTS["csv with a header"][0](tmp_path)
    (tmp_path / "test_labels.csv").write_text("filename,class,xmin,ymin,xmax,ymax\n")
    assert find_data(tmp_path).lines[1] == "test_labels.csv has no row of a box; it is passed over"


def test_images_of_open_images_in_folders_of_classes(tmp_path):
    LAYOUTS["open images"][0](tmp_path)
    data = tmp_path / "train" / "data"
    for name, label in zip(TRAIN, ("cat", "dog", "cat"), strict=True):
        (data / label).mkdir(exist_ok=True)
        (data / f"{name}.png").rename(data / label / f"{name}.png")
    found = find_data(tmp_path)
    assert found.train.images == str(data)
    assert "train train-annotations-bbox.csv (3 images), val" in found.lines[0]
    images = read_dataset(*found.train[:1], images=found.train.images).coco["images"]
    assert [x["file_name"] for x in images] == ["cat/a b.png", "dog/ä.png", "cat/c.png"]


def test_only_the_images_of_open_images_that_are_there_count(tmp_path):
    LAYOUTS["open images"][0](tmp_path)
    (tmp_path / "train" / "data" / "c.png").unlink()
    assert "train train-annotations-bbox.csv (2 images), val" in find_data(tmp_path).lines[0]


def test_a_csv_of_open_images_without_any_image_is_passed_over(tmp_path):
    LAYOUTS["open images"][0](tmp_path)
    shutil.rmtree(tmp_path / "validation")
    found = find_data(tmp_path)
    assert found.val is None
    line = "none of the images of validation-annotations-bbox.csv is here; it is passed over"
    assert found.lines[1] == line


def write_parquet(jsonl):
    """The same rows as parquet, beside it."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    rows = [json.loads(line) for line in jsonl.read_text().splitlines()]
    pq.write_table(pa.Table.from_pylist(rows), jsonl.with_suffix(".parquet"))


def test_a_split_in_parquet_beside_one_in_jsonl(tmp_path):
    LAYOUTS["image folder"][0](tmp_path)
    for split in ("train", "validation"):
        write_parquet(tmp_path / split / "metadata.jsonl")
    (tmp_path / "train" / "metadata.jsonl").unlink()
    found = find_data(tmp_path)
    assert found.train.data == str(tmp_path / "train" / "metadata.parquet")
    assert found.val.data == str(tmp_path / "validation" / "metadata.jsonl")


@pytest.mark.parametrize("slash", ["/", "\\"])
def test_one_table_above_the_folders_of_the_splits(tmp_path, slash):
    LAYOUTS["image folder"][0](tmp_path)
    lines = []
    for split in ("train", "validation"):
        table = tmp_path / split / "metadata.jsonl"
        rows = [json.loads(line) for line in table.read_text().splitlines()]
        lines += [json.dumps(row | {"file_name": split + slash + row["file_name"]}) for row in rows]
        table.unlink()
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    found = find_data(tmp_path)
    assert "train metadata.jsonl:train (3 images), val metadata.jsonl:val" in found.lines[0]
    names = [x["file_name"] for x in read_dataset(found.val.data).coco["images"]]
    assert names == ["validation/d.png"]
    line = "metadata.jsonl: no file_name begins with test/; they do with train/ and validation/"
    with pytest.raises(ValueError, match=line):
        read_dataset(f"{tmp_path / 'metadata.jsonl'}:test")


def test_one_table_of_images_called_after_splits_is_one_set(tmp_path):
    rows = [{"file_name": f"{x}.png", "objects": {}} for x in ("train", "val")]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert find_data(tmp_path).lines[0].endswith("train metadata.jsonl (2 images)")


def test_a_name_in_no_folder_of_a_split(tmp_path):
    rows = ["train/c", "val/d", "./val/a b", "more/ä"]
    text = [json.dumps({"file_name": f"{name}.png", "objects": {}}) for name in rows]
    (tmp_path / "metadata.jsonl").write_text("\n".join(text))
    with pytest.raises(ValueError, match="begin with .*, but not more/ä.png; move that image"):
        find_data(tmp_path)
    (tmp_path / "metadata.jsonl").write_text("\n".join(text[:3]))
    found = find_data(tmp_path)
    assert found.lines[0].endswith(
        "metadata.jsonl:train (1 images), val metadata.jsonl:val (2 images)"
    )
