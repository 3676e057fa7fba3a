"""Small inputs that people really have: the same outcome in check, repair, conversion and training.

A training is one of the tiny model, without a step; its evaluation writes results.
"""

import json
import re
from pathlib import Path

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from severity import severity

from fcos_cli.main import main
from fcos_d2.datasets.own_data import DataFiles, register_own_data

TEXT_IDS = [f"000000{i}_02999_d_000000{i}" for i in range(1, 5)]
BOX = [10, 10, 41, 31]

# folder/file: severity and kind that are said, exit code of the checker, boxes that are learned.
READ = {
    "01-coco-ignore/train.json": ("note: box with ignore 1", 0, [BOX] * 4),
    "02-coco-short-polygons/train.json": ("note: segmentation that is no mask: 3", 0, [BOX] * 4),
    "03-coco-flat-polygon/train.json": ("note: segmentation that is no mask: 1", 0, [BOX] * 4),
    "03-coco-flat-polygon/train_keypoints.json": (
        "note: keypoints that are not three numbers each: 1",
        0,
        [BOX] * 4,
    ),
    "03-coco-flat-polygon/train_rle.json": ("note: segmentation that is no mask: 1", 0, [BOX] * 4),
    "04-coco-text-ids/train.json": ("note: ids written as text: 1", 0, [BOX] * 4),
    "16-cvat-rotation/instances_default.json": (
        "note: rotated box: 1",
        0,
        [[30.5025, 30.5025, 98.995, 98.995]],
    ),
    "17-roboflow-root-category/images/_annotations.coco.json": (
        "note: root category without boxes, as Roboflow writes: 1",
        0,
        [BOX] * 4,
    ),
    "28-corner-order/train.json": (
        "warning: box of negative width or height: 1 (turned around)",
        1,
        [BOX] * 4,
    ),
}
REFUSED = {  # what the one error says; nothing is learned, or only with --no-check
    "18-yolo-pixels/data.yaml": r"4 of 4 boxes are outside the image, .*30 25 41 31.*pixels\?",
    "25-coco-box-convention/relative.json": (
        r"boxes that look relative, shares of the image.*8 of 8 .*0\.1042, 0\.1389, 0\.4271, "
        r"0\.4306\] in 96 x 72 px"
    ),
    "25-coco-box-convention/xyxy.json": (
        r"boxes that look like corners, xyxy.*8 of 8 .*\[40, 30, 90, 68\] in 96 x 72 px"
    ),
    "33-all-crowd/train.json": (
        r"nothing is left to learn: .*4 images; each of their 4 boxes is a crowd region"
    ),
    "34-labels-elsewhere/data.yaml": r"no label file: .*looked for .*34-.*/pictures/im0\.txt",
}


@pytest.fixture(scope="module")
def inputs(shared_dir) -> Path:
    return shared_dir / "data" / "bug_inputs"


@pytest.fixture(autouse=True)
def forget_datasets():
    yield
    for name in ("own_train", "own_val"):
        DatasetCatalog.pop(name, None)
        MetadataCatalog.pop(name, None)


def given(inputs: Path, case: str) -> tuple[str, str | None]:
    """The file, and the folder of its images."""
    path = inputs / case
    beside = path.parent.name == "images" or path.suffix == ".yaml"
    return str(path), None if beside else str(path.parent / "images")


def check(data: str, images: str | None, *options: str) -> int:
    folder = ["--images", images] if images else []
    return severity(data, *folder, "--no-images", *options)


def learned(data: str, images: str | None, folder: Path, **options) -> list[dict]:
    """The annotations of all records that training gets."""
    register_own_data(DataFiles(data, images), None, folder, **options)
    return [a for record in DatasetCatalog.get("own_train") for a in record["annotations"]]


def boxes_of(annotations: list[dict]) -> list[list[float]]:
    return sorted(a["bbox"] for a in annotations if not a["iscrowd"])


@pytest.mark.parametrize("case", READ)
def test_what_can_be_read_is_read_alike_everywhere(inputs, tmp_path, capsys, case):
    said, code, boxes = READ[case]
    data, images = given(inputs, case)
    expected = [pytest.approx(box, abs=1e-3) for box in boxes]
    assert check(data, images, "--fix", str(tmp_path / "fixed.json")) == code
    assert said in capsys.readouterr().out
    folder = images or str(Path(data).parent)
    converted = str(tmp_path / "converted.json")
    assert main(["convert", data, "--images", folder, "--output", converted]) == 0
    assert said in capsys.readouterr().out
    annotations = learned(data, images, tmp_path)
    assert boxes_of(annotations) == expected
    assert all("segmentation" not in a and "keypoints" not in a for a in annotations)
    for name in ("fixed", "converted"):
        written = json.loads((tmp_path / f"{name}.json").read_text())
        assert boxes_of(written["annotations"]) == expected
        assert not any(a.get("ignore") for a in written["annotations"])
        # Nothing more is wrong, and it learns the same, also with detectron2's reader alone.
        assert check(str(tmp_path / f"{name}.json"), folder) == 0
        assert (
            boxes_of(learned(str(tmp_path / f"{name}.json"), folder, tmp_path / name)) == expected
        )
        assert "\nfound" not in capsys.readouterr().out or case.startswith("01"), "but the crowd"


@pytest.mark.parametrize("case", REFUSED)
def test_what_nobody_should_train_on_is_one_error_everywhere(inputs, tmp_path, capsys, case):
    data, images = given(inputs, case)
    assert check(data, images) == 2
    printed = capsys.readouterr().out
    (line,) = (x for x in printed.splitlines() if x.startswith("error: "))
    assert re.search(REFUSED[case], line)
    with pytest.raises(ValueError, match=REFUSED[case]) as refusal:
        learned(data, images, tmp_path)
    assert "\n" not in str(refusal.value)
    if case.startswith("25"):
        return
    with pytest.raises(ValueError, match="nothing is left to learn"):
        learned(data, images, tmp_path, check=False)


def test_two_conventions_are_converted_by_the_repair(inputs, tmp_path):
    wanted = {"relative": [10, 10, 41, 31], "xyxy": [40, 30, 50, 38]}
    for name, box in wanted.items():
        data, images = given(inputs, f"25-coco-box-convention/{name}.json")
        assert check(data, images, "--fix", str(tmp_path / "fixed.json")) == 2
        assert boxes_of(learned(str(tmp_path / "fixed.json"), images, tmp_path))[0] == (
            pytest.approx(box)
        )
        assert check(str(tmp_path / "fixed.json"), images) == 0


def test_text_ids_reach_training_as_numbers(inputs, tmp_path):
    data, images = given(inputs, "04-coco-text-ids/train.json")
    register_own_data(None, DataFiles(data, images), tmp_path)
    records = DatasetCatalog.get("own_val")
    source = MetadataCatalog.get("own_val").source_image_ids
    assert [source[record["image_id"]] for record in records] == TEXT_IDS
    written = json.loads((tmp_path / "own_val.json").read_text())
    assert [image["source_id"] for image in written["images"]] == TEXT_IDS


def test_the_root_category_is_no_class(inputs, tmp_path):
    data, images = given(inputs, "17-roboflow-root-category/images/_annotations.coco.json")
    own = register_own_data(DataFiles(data, images), None, tmp_path)
    assert own.class_names == ["cat", "dog"]
