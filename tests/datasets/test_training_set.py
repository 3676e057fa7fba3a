import json

import pytest
from detectron2.config import instantiate
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances

from fcos_d2 import model_zoo
from fcos_d2.datasets.problems import Problem
from fcos_d2.datasets.training_set import (
    judge_training_set,
    learned_fields,
    nothing_to_learn,
    training_records,
)
from fcos_d2.engine import Trainer, run_of

NAME = "test_learning_dataset"
POLYGON = [[1, 2, 31, 2, 31, 42]]


@pytest.fixture(autouse=True)
def forget_dataset():
    yield
    DatasetCatalog.pop(NAME, None)
    MetadataCatalog.pop(NAME, None)


def coco_of(*annotations: dict) -> dict:
    """Annotations of one image of 80 x 60 px, as `repair_coco` gives them."""
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40], "area": 1200, "iscrowd": 0}
    return {
        "images": [{"id": 1, "file_name": "a.png", "height": 60, "width": 80, "license": "x"}],
        "annotations": [{"id": i, **box, **x} for i, x in enumerate(annotations, start=1)],
        "categories": [{"id": 1, "name": "cat"}],
    }


def register(folder, *annotations: dict) -> None:
    (folder / "a.json").write_text(json.dumps(coco_of(*annotations)))
    register_coco_instances(NAME, {}, str(folder / "a.json"), str(folder))


@pytest.mark.parametrize(("masks", "kept"), [("unused", 0), ("optional", 1), ("required", 1)])
def test_masks_only_where_they_are_learned(masks, kept):
    fields = {"segmentation": POLYGON, "keypoints": [1, 2, 3], "attributes": {"a": 1}}
    problems = []
    coco = learned_fields(coco_of(fields), masks, problems)
    (annotation,) = coco["annotations"]
    expected = {"id", "image_id", "category_id", "bbox", "area", "iscrowd"}
    assert set(annotation) == expected | ({"segmentation"} if kept else set())
    assert set(coco["images"][0]) == {"id", "file_name", "height", "width"}
    assert problems == []


NO_MASKS = {
    "none": {},
    "empty": {"segmentation": []},
    "without pixels": {"segmentation": [[1, 2, 1, 2, 1, 2]]},
    "run lengths of another image": {"segmentation": {"size": [60, 80], "counts": "zzzz"}},
}


@pytest.mark.parametrize("name", NO_MASKS)
def test_objects_without_a_mask_are_named_where_masks_are_learned(name):
    given = coco_of(NO_MASKS[name], {"segmentation": POLYGON})
    for masks, ids in (("unused", [1, 2]), ("optional", [1, 2]), ("required", [2])):
        problems = []
        coco = learned_fields(given, masks, problems)
        assert [a["id"] for a in coco["annotations"]] == ids
        kind = "error: object without a mask, which the model learns"
        expected = [f"{kind}: annotation 1 of a.png: [1, 2, 30, 40]"]
        assert [str(p) for p in problems] == (expected if masks == "required" else [])


def test_a_crowd_without_a_mask_covers_its_box():
    problems = []
    coco = learned_fields(coco_of({"iscrowd": 1}), "required", problems)
    assert coco["annotations"][0]["segmentation"] == [[1, 2, 31, 2, 31, 42, 1, 42]]
    assert problems == []
    with pytest.raises(ValueError, match="masks must be one of"):
        learned_fields(coco, "some", problems)


@pytest.mark.parametrize(
    ("opts", "use"),
    [
        ([], "unused"),
        (["INPUT.MIX.COPY_PASTE_PROB", 0.5], "optional"),
        (["MODEL.MASK_ON", True, "INPUT.MIX.COPY_PASTE_PROB", 0.5], "required"),
    ],
)
def test_configs_tell_whether_masks_are_used(opts, use):
    assert run_of(model_zoo.get_config("FCOS-RT/R50", opts)).masks == use


def test_lazy_configs_tell_whether_masks_are_used():
    assert run_of(model_zoo.get_config("lazy/FCOS-RT/R50.py")).masks == "unused"
    assert run_of(model_zoo.get_config("lazy/TwoStage/MaskRCNN-R50-FCOS-1x.py")).masks == "required"


def test_the_reason_for_nothing_to_learn():
    lost = Problem("warning", "box outside the image", "a.png: [90, 0, 5, 5]", "left out")
    note = Problem("note", "image without size", "a.png", "taken from the file")
    assert nothing_to_learn(3, [True, False], [lost]) is None
    assert str(nothing_to_learn(3, [True, True])) == (
        "error: nothing is left to learn: 3 images; each of their 2 boxes is a crowd region, which "
        "is not learned"
    )
    assert str(nothing_to_learn(3, [], [note, lost, lost])) == (
        "error: nothing is left to learn: 3 images; none of them has a box that can be used; "
        "2 times box outside the image: a.png: [90, 0, 5, 5]; left out"
    )
    assert "no image can be used" in nothing_to_learn(0, []).where


def test_what_the_error_quotes_is_not_listed_twice():
    alone = Problem("error", "no label file", "data.yaml: looked for labels/a.txt")
    pair = [Problem("error", "unknown category", f"a.png: {i}", "left out") for i in range(2)]
    empty, full = coco_of(), coco_of({})
    assert judge_training_set(full, [alone, *pair]) == [alone, *pair]
    nothing, *others = judge_training_set(empty, [alone, *pair])
    assert "no label file: data.yaml: looked for labels/a.txt" in nothing.where
    assert others == pair


REGISTERED = {
    "all crowd": ([{"iscrowd": 1}], "1 images; each of their 1 boxes is a crowd"),
    "no boxes": ([], "1 images; none of them has a box"),
    "ignore": ([{}, {"ignore": 1}], '"ignore" in COCO json file is not supported'),
    "ids twice": ([{}, {"id": 1}], "Annotation ids in .* are not unique"),
}


@pytest.mark.parametrize("filter_empty", [True, False])
@pytest.mark.parametrize("name", REGISTERED)
def test_registered_datasets_give_the_same_error(tmp_path, name, filter_empty):
    annotations, message = REGISTERED[name]
    register(tmp_path, *annotations)
    with pytest.raises(ValueError, match=f"{NAME}: .*{message}"):
        training_records(NAME, filter_empty)
    opts = ["DATASETS.TRAIN", (NAME,), "DATALOADER.FILTER_EMPTY_ANNOTATIONS", filter_empty]
    with pytest.raises(ValueError, match=f"{NAME}: .*{message}"):
        Trainer.build_train_loader(model_zoo.get_config("FCOS-RT/R50", opts))
    lazy = model_zoo.get_config("lazy/FCOS-RT/R50.py").dataloader.train
    lazy.dataset.names, lazy.dataset.filter_empty = NAME, filter_empty
    with pytest.raises(Exception, match=message):
        instantiate(lazy)


def test_registered_datasets_are_loaded_as_by_detectron2(tmp_path):
    register(tmp_path, {}, {"iscrowd": 1})
    (record,) = training_records([NAME])
    assert [a["category_id"] for a in record["annotations"]] == [0, 0]
