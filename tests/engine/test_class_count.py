"""The number of classes against the training data."""

import json

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from tiny_run import TINY_MODEL, make_tiny_coco

from fcos_d2 import model_zoo
from fcos_d2.engine import Trainer


@pytest.fixture
def dataset(tmp_path):
    """Registered with names that are known only once its file is read: one class."""
    register_coco_instances("class_count", {}, *make_tiny_coco(tmp_path / "data", num_images=2))
    yield "class_count"
    DatasetCatalog.remove("class_count")
    MetadataCatalog.remove("class_count")


def train_yaml(output_dir, dataset, num_classes):
    settings = TINY_MODEL | {"MODEL.FCOS.NUM_CLASSES": num_classes, "SOLVER.MAX_ITER": 1}
    settings |= {"DATASETS.TRAIN": (dataset,), "OUTPUT_DIR": str(output_dir)}
    opts = [str(word) for item in settings.items() for word in item]
    Trainer(model_zoo.get_config("Recipes/R18-Scratch", opts))


def train_lazily(output_dir, dataset, num_classes):
    cfg = model_zoo.get_config("lazy/Recipes/R18-Scratch")
    cfg.model.proposal_generator.head.num_classes = num_classes
    cfg.dataloader.train.dataset.names = dataset
    cfg.dataloader.train.num_workers = 0
    cfg.train.device = "cpu"
    cfg.train.output_dir = str(output_dir)
    Trainer(cfg)


@pytest.mark.parametrize("train", [train_yaml, train_lazily])
def test_more_classes_than_the_data_have_are_named(train, dataset, tmp_path, caplog):
    train(tmp_path, dataset, 3)
    (line,) = [r.getMessage() for r in caplog.records if r.name == "fcos_d2.engine.class_count"]
    yaml_key, lazy_key = "MODEL.FCOS.NUM_CLASSES", "model.proposal_generator.head.num_classes"
    key = yaml_key if train is train_yaml else lazy_key
    assert f"the model has 3 classes ({key}), the training data" in line
    assert "class_count" in line and "have 1: 2 outputs never learn an object" in line
    caplog.clear()
    train(tmp_path, dataset, 1)
    assert not [r for r in caplog.records if r.name == "fcos_d2.engine.class_count"]


@pytest.mark.parametrize("train", [train_yaml, train_lazily])
def test_fewer_classes_stop_before_training(train, dataset, tmp_path):
    path = tmp_path / "data" / "annotations.json"
    data = json.loads(path.read_text())
    data["categories"].append({"id": 9, "name": "bolt"})
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"has 1 classes .*have 2: set it to 2"):
        train(tmp_path, dataset, 1)
