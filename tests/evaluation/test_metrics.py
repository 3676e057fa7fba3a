import pytest
from detectron2.data import MetadataCatalog

from fcos_d2.evaluation.metrics import check_metric

VOC, COCO = "voc_2007_test", "coco_2017_val"


@pytest.mark.parametrize(
    ("metric", "dataset_names"),
    [
        ("", [COCO]),
        ("bbox/AP05", []),  # nothing is tested
        ("bbox/AP", [COCO]),
        ("bbox/APs", [COCO]),
        ("segm/AP75", [COCO]),
        ("bbox/AP-traffic light", [COCO]),
        ("bbox/AP50-11-point", [VOC]),
        ("bbox/AP50-dog", [VOC]),
        ("bbox/AP", ["voc_2007_val", VOC]),
        ("voc_2007_test/bbox/AP50", ["voc_2007_val", VOC]),
    ],
)
def test_metrics_that_there_are(metric, dataset_names):
    check_metric(metric, dataset_names)


@pytest.mark.parametrize(
    ("metric", "dataset_names", "given"),
    [
        ("bbox/AP05", [COCO], "bbox/AP, bbox/AP50, bbox/AP75, bbox/APs, .*, bbox/AP-<class>$"),
        ("AP", [COCO], "bbox/AP, "),
        ("bbox/ap", [COCO], "bbox/AP, "),
        ("bbox/AP-dragon", [COCO], "bbox/AP, "),
        ("bbox/AP-dog", [VOC], "bbox/AP, bbox/AP50, .*, bbox/AP50-<class>$"),
        ("voc_2012_val/bbox/AP", ["voc_2007_val", VOC], "bbox/AP, "),
    ],
)
def test_others_are_refused_with_those_that_there_are(metric, dataset_names, given):
    message = f"`best_metric` is {metric!r}, which the evaluation does not give; it gives {given}"
    with pytest.raises(ValueError, match=message):
        check_metric(metric, dataset_names)


def test_classes_that_are_not_yet_known_may_be_any():
    try:
        check_metric("bbox/AP-dragon", ["test_metrics_nameless"])
    finally:
        MetadataCatalog.pop("test_metrics_nameless")
