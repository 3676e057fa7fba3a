"""The validation set that is made: by class, the same everywhere, without near duplicates."""

import json
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from scenes import scene, write_scene

from fcos_d2.datasets.own_data import DataFiles
from fcos_d2.datasets.splitting import earlier_split, make_split, split_images, stratify


def write_set(folder: Path, copies: int = 0) -> DataFiles:
    """20 images, of which two have the rare class; and copies of the first in another quality."""
    folder.mkdir(parents=True)
    images, annotations = [], []
    for i in range(20 + copies):
        name = f"{i:02}.jpg"
        write_scene(folder / name, scene(i if i < 20 else 0), quality=95 if i < 20 else 60 + i)
        images.append({"id": f"id {i}", "file_name": name, "height": 96, "width": 96})
        for label in {1, 2 if i in (3, 11) else 1}:
            ids = {"id": len(annotations) + 1, "image_id": f"id {i}", "category_id": label}
            annotations.append({**ids, "bbox": [5, 6, 40, 50], "area": 2000, "iscrowd": 0})
    categories = [{"id": 1, "name": "common"}, {"id": 2, "name": "rare"}]
    data = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "all.json").write_text(json.dumps(data))
    return DataFiles(str(folder / "all.json"), str(folder))


def names(output: Path, split: str) -> list[str]:
    return (output / "split" / f"{split}.txt").read_text().splitlines()


def test_a_fifth_of_the_images_with_the_rare_class_on_both_sides(tmp_path):
    train, val, line = make_split(write_set(tmp_path / "data"), tmp_path / "out")
    train_names, val_names = names(tmp_path / "out", "train"), names(tmp_path / "out", "val")
    assert len(val_names) == 4 and len(train_names) == 16
    assert not {*train_names} & {*val_names}
    assert len({"03.jpg", "11.jpg"} & {*val_names}) == 1
    assert "4 of its 20 images are one now" in line and str(val.data) in line
    written = json.loads(Path(val.data).read_text())
    assert {x["file_name"] for x in written["images"]} == {*val_names}
    assert all(isinstance(x["id"], str) for x in written["images"])  # as in the user's file
    assert train.images == val.images == str(tmp_path / "data")


def test_the_split_does_not_depend_on_the_folder_or_the_order(tmp_path):
    data = write_set(tmp_path / "data")
    make_split(data, tmp_path / "out")
    shutil.move(tmp_path / "data", tmp_path / "other name")
    file = tmp_path / "other name" / "all.json"
    coco = json.loads(file.read_text())
    coco["images"].reverse()
    file.write_text(json.dumps(coco))
    make_split(DataFiles(str(file), str(file.parent)), tmp_path / "again")
    assert names(tmp_path / "out", "val") == names(tmp_path / "again", "val")


def test_near_duplicates_stay_together(tmp_path):
    data = write_set(tmp_path / "data", copies=2)
    *_, line = make_split(data, tmp_path / "out")
    sides = [
        {"00.jpg", "20.jpg", "21.jpg"} <= {*names(tmp_path / "out", x)} for x in ("train", "val")
    ]
    assert sorted(sides) == [False, True]
    assert "near duplicates (3 images) kept together" in line


def test_images_that_all_look_alike_are_divided_by_name(tmp_path):
    images = []
    for i in range(30):
        write_scene(tmp_path / f"{i:02}.jpg", scene(0), quality=60 + i)
        images.append({"id": i, "file_name": f"{i:02}.jpg", "height": 96, "width": 96})
    val, alike = split_images({"images": images, "annotations": [], "categories": []}, tmp_path)
    assert alike == 30 and val and len(val) <= 6
    first = min(val)
    assert val == set(range(first, first + len(val))) or len(val) == 6  # whole runs of three


def test_the_files_of_before_are_taken_again_unless_the_data_have_changed(tmp_path):
    data, out = write_set(tmp_path / "data"), tmp_path / "out"
    assert earlier_split(data, out) is None
    train, val, _ = make_split(data, out)
    (out / "split" / "val.txt").write_text("as it was")
    assert make_split(data, out)[:2] == (train, val)
    assert names(out, "val") == ["as it was"] and earlier_split(data, out) == val
    coco = json.loads(Path(data.data).read_text())
    coco["annotations"].pop()
    Path(data.data).write_text(json.dumps(coco))
    assert earlier_split(data, out) is None
    make_split(data, out)
    assert names(out, "val") != ["as it was"]


def test_errors_in_the_data_stop_before_a_split(tmp_path):
    data = write_set(tmp_path / "data")
    (tmp_path / "data" / "05.jpg").unlink()
    with pytest.raises(ValueError, match=r"2 errors, the first: image file missing: 05.jpg"):
        make_split(data, tmp_path / "out")
    make_split(data, tmp_path / "out", check=False)
    assert len(names(tmp_path / "out", "train")) + len(names(tmp_path / "out", "val")) == 19


def test_one_image_makes_no_validation_set(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    images = [{"id": 1, "file_name": "a.png", "height": 8, "width": 8}]
    with pytest.raises(ValueError, match="1 image makes no validation set; give one with --val-d"):
        split_images({"images": images, "annotations": [], "categories": []}, tmp_path)


def test_stratify_on_paper():
    # Ten images: a in all, b in two. b wants max(0.4, 1) for validation and 1 to learn from, so its
    # first group is for validation; of a, 2 - 1 = 1 more, which comes when training has had its 8.
    counts = [Counter(a=1, b=1), Counter(a=1, b=1), *(Counter(a=1) for _ in range(8))]
    chosen = stratify([1] * 10, counts)
    assert len(chosen) == 2 and 0 in chosen and 1 not in chosen


def test_every_class_of_two_images_is_on_both_sides_until_validation_is_full():
    counts = [Counter({f"class {i // 2}": 1}) for i in range(100)]
    chosen = stratify([1] * 100, counts)
    assert len(chosen) == 30  # of 50 classes that each want one
    assert len({i // 2 for i in chosen}) == 30
