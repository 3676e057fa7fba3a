"""The LazyConfig route, where it has code of its own."""

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from oracle import Oracle
from tiny_run import make_tiny_coco

from fcos_d2 import model_zoo
from fcos_d2.engine import lazy

NAMES = ["test_lazy_a", "test_lazy_b"]


@pytest.fixture
def cfg(tmp_path):
    """Tested on two sets, of three images and of one."""
    for name, images in zip(NAMES, (3, 1), strict=True):
        json_file, folder = make_tiny_coco(tmp_path / name, images)
        register_coco_instances(name, {}, json_file, folder)
    cfg = model_zoo.get_config("lazy/Recipes/R18-Scratch")
    cfg.train.output_dir, cfg.train.device = str(tmp_path / "out"), "cpu"
    cfg.dataloader.train.dataset.names = NAMES[0]
    cfg.dataloader.test.dataset.names = NAMES
    cfg.dataloader.train.num_workers = cfg.dataloader.test.num_workers = 0
    yield cfg
    for name in NAMES:
        DatasetCatalog.pop(name)
        MetadataCatalog.pop(name)


def test_several_sets_are_evaluated_one_by_one(cfg):
    results = lazy.evaluate(cfg, Oracle(NAMES[0], ["white thing"]), ["white thing"])
    assert list(results) == NAMES
    assert [results[name]["bbox"]["AP"] for name in NAMES] == pytest.approx([100, 100])
    cfg.dataloader.test.dataset.names = NAMES[1:]
    alone = lazy.evaluate(cfg, Oracle(NAMES[1], ["white thing"]), ["white thing"])
    assert alone["bbox"]["AP"] == pytest.approx(100)
    cfg.dataloader.test.dataset.names = []
    assert lazy.evaluate(cfg, None) == {}


def test_an_unknown_metric_is_refused_before_the_first_iteration(cfg):
    cfg.train.best_metric = "bbox/AP05"
    with pytest.raises(ValueError, match="is 'bbox/AP05', which the evaluation does not give; it"):
        lazy.train(cfg)
