"""The PASCAL VOC metric on the sample of VOC 2007."""

import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.data.datasets import register_pascal_voc
from detectron2.structures import Boxes, Instances

from fcos_d2 import model_zoo
from fcos_d2.evaluation.voc import VOCEvaluator


@pytest.fixture(scope="module")
def dataset(shared_dir) -> str:
    name = "voc_sample_2007"
    if name not in DatasetCatalog:
        folder = shared_dir / "data" / "voc_sample" / "VOCdevkit" / "VOC2007"
        register_pascal_voc(name, str(folder), "test", 2007)
    return name


def evaluate(dataset: str, keep) -> dict[str, float]:
    """The metric when the ground truth that `keep(class, index)` names is found, and no more."""
    evaluator = VOCEvaluator(dataset)
    evaluator.reset()
    for record in DatasetCatalog.get(dataset):
        kept = [
            annotation
            for i, annotation in enumerate(record["annotations"])
            if keep(annotation["category_id"], i)
        ]
        instances = Instances((record["height"], record["width"]))
        instances.pred_boxes = Boxes(torch.tensor([x["bbox"] for x in kept]).reshape(-1, 4))
        instances.pred_classes = torch.tensor([x["category_id"] for x in kept], dtype=torch.int64)
        instances.scores = torch.full((len(kept),), 0.9)
        evaluator.process([record], [{"instances": instances}])
    return evaluator.evaluate()["bbox"]


def test_ground_truth_has_an_ap_of_100(dataset):
    """In every class that occurs; the fourteen that the sample lacks of the twenty do not count."""
    bbox = evaluate(dataset, lambda class_id, i: True)
    found = {key.removeprefix("AP50-") for key, ap in bbox.items() if ap == 100 and "-" in key}
    assert found == {"car", "chair", "dog", "person", "sofa", "train"}
    assert bbox["AP50"] == bbox["AP75"] == pytest.approx(100)
    assert len([key for key in bbox if key.startswith("AP50-")]) == 6 + 1  # and the 11 points


def test_the_two_kinds_of_ap(dataset):
    """Of the seven cars that are not difficult two are found: precision 1 up to recall 2/7 = 0.286.

    The area is 2/7; of the eleven points 0.0, 0.1, ... the first three have precision 1.
    """
    car, found = 6, []

    def keep(class_id: int, i: int) -> bool:
        if class_id == car and len(found) < 2:
            found.append(i)
            return True
        return False

    bbox = evaluate(dataset, keep)
    assert bbox["AP50-car"] == pytest.approx(100 * 2 / 7)
    assert bbox["AP50"] == pytest.approx(100 * 2 / 7 / 6)
    assert bbox["AP50-11-point"] == pytest.approx(100 * 3 / 11 / 6)


def test_a_set_without_boxes_says_so(tmp_path, caplog):
    for folder in ("Annotations", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "test.txt").write_text("")
    DatasetCatalog.pop("voc_empty_2007", None)
    register_pascal_voc("voc_empty_2007", str(tmp_path), "test", 2007)
    evaluator = VOCEvaluator("voc_empty_2007")
    evaluator.reset()
    assert evaluator.evaluate() == {}
    assert "voc_empty_2007: there are no boxes to find" in caplog.text


def test_configs():
    names = [n for n in model_zoo.list_configs() if n.startswith("PascalVOC/")]
    assert names == ["PascalVOC/R101", "PascalVOC/R50", "PascalVOC/R50-keras-split"]
    for name in names:
        cfg = model_zoo.get_config(name)
        assert cfg.MODEL.FCOS.NUM_CLASSES == 20
        assert "voc_2007_test" in cfg.DATASETS.TEST
