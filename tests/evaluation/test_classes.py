"""Detections evaluated by the names of their classes, with a model that always finds the truth."""

import json
import logging

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Instances
from oracle import Oracle
from tiny_run import TINY_MODEL

from fcos_d2 import model_zoo
from fcos_d2.datasets.own_data import DataFiles, register_own_data
from fcos_d2.engine import Trainer
from fcos_d2.evaluation.classes import check_test_classes, dataset_indices, evaluate_by_name

SHAPES = ["circle", "square", "triangle", "star", "ring"]  # the order of training


def evaluate(kind, model, class_names, folder):
    """AP by the trainer of yaml or of python configs."""
    if kind == "yaml":
        opts = [str(word) for item in TINY_MODEL.items() for word in item]
        cfg = model_zoo.get_config("Recipes/R18-Scratch", [*opts, "OUTPUT_DIR", str(folder)])
        cfg.DATASETS.TEST = ("own_val",)
    else:
        cfg = model_zoo.get_config("lazy/Recipes/R18-Scratch")
        cfg.train.output_dir = str(folder)
        cfg.dataloader.test.dataset.names = "own_val"
        cfg.dataloader.test.num_workers = 0
    return Trainer.test(cfg, model, class_names=class_names)["bbox"]["AP"]


@pytest.fixture
def renumbered(shared_dir, tmp_path):
    """Category ids 1 to 5 of ring, circle, square, triangle and star."""
    folder = shared_dir / "data" / "bug_inputs" / "06-eval-category-order"
    return register_own_data(
        None, DataFiles(str(folder / "val.json"), str(folder / "images")), tmp_path
    )


@pytest.mark.parametrize("kind", ["yaml", "lazy"])
def test_category_ids_in_another_order(renumbered, tmp_path, kind):
    """All is found: 100; by position, every class would be taken for another."""
    assert renumbered.class_names == ["ring", "circle", "square", "triangle", "star"]
    model = Oracle("own_val", SHAPES)
    assert evaluate(kind, model, SHAPES, tmp_path) == pytest.approx(100)
    assert evaluate(kind, model, None, tmp_path) < 1


@pytest.mark.parametrize("kind", ["yaml", "lazy"])
def test_a_class_that_the_set_lacks_does_not_count(shared_dir, tmp_path, kind, caplog):
    """VOC files without "ring"; the model of five classes finds every box."""
    caplog.set_level(logging.INFO)
    folder = shared_dir / "data" / "bug_inputs" / "07-eval-class-missing"
    own = register_own_data(None, DataFiles(str(folder)), tmp_path)
    assert own.class_names == ["circle", "square", "star", "triangle"]
    assert evaluate(kind, Oracle("own_val", SHAPES), SHAPES, tmp_path) == pytest.approx(100)
    by_id = json.loads((tmp_path / "own_val.json").read_text())["categories"]
    detections = json.loads((tmp_path / "inference" / "coco_instances_results.json").read_text())
    assert {x["category_id"] for x in detections} == {x["id"] for x in by_id}


NAME = "test_classes_dataset"


@pytest.fixture
def dataset():
    """Boxes of "cat" and "dog", and a crowd of "cow"."""
    objects = [{"category_id": 0}, {"category_id": 1}, {"category_id": 2, "iscrowd": 1}]
    DatasetCatalog.register(NAME, lambda: [{"annotations": objects}, {}])
    MetadataCatalog.get(NAME).set(thing_classes=["cat", "dog", "cow"], source="val.json")
    yield NAME
    DatasetCatalog.pop(NAME)
    MetadataCatalog.pop(NAME)


def test_indices(dataset):
    assert dataset_indices(["dog", "bird", "cow", "cat"], dataset).tolist() == [1, -1, 2, 0]
    assert dataset_indices(["cat", "dog", "cow"], dataset) is None


def test_a_class_without_boxes_may_be_unknown(dataset):
    assert dataset_indices(["dog", "cat"], dataset).tolist() == [1, 0]


def test_boxes_of_unknown_classes_are_named(dataset):
    message = "val.json has boxes of classes .* not know: dog; its classes are cat, Dog"
    with pytest.raises(ValueError, match=message):
        dataset_indices(["cat", "Dog"], dataset)
    with pytest.raises(ValueError, match=message):
        check_test_classes(["cat", "Dog"], [dataset])
    check_test_classes(None, [dataset])


def test_a_dataset_without_names_is_taken_in_order(dataset):
    MetadataCatalog.pop(NAME)
    assert dataset_indices(["cat"], dataset) is None


class Recorder:
    """Keeps the classes that it is given."""

    def reset(self):
        self.classes, self.scores = [], []

    def process(self, inputs, outputs):
        for output in outputs:
            self.classes.append(output["instances"].pred_classes.tolist())
            self.scores.append(output["instances"].scores.tolist())


def detections(classes):
    found = Instances((9, 9), pred_classes=torch.tensor(classes, dtype=torch.int64))
    found.scores = torch.arange(len(classes)) / 10
    return {"instances": found}


def test_detections_are_translated_and_others_left_out(dataset):
    recorder = Recorder()
    evaluator = evaluate_by_name(recorder, dataset, ["dog", "bird", "cat"])
    evaluator.reset()
    outputs = [detections([0, 1, 2]), detections([])]
    evaluator.process([{}, {}], outputs)
    assert recorder.classes == [[1, 0], []]
    assert recorder.scores[0] == pytest.approx([0.0, 0.2])
    assert outputs[0]["instances"].pred_classes.tolist() == [0, 1, 2]  # the caller's stay
    with pytest.raises(ValueError, match="detects class 3, but has names for 3: dog, bird, cat"):
        evaluator.process([{}], [detections([3])])


def test_without_names_the_evaluator_is_the_same():
    recorder = Recorder()
    assert evaluate_by_name(recorder, NAME, None) is recorder
