"""Weights of classes, kept by name in a model of other classes."""

import pytest
import torch
from detectron2.modeling import build_model
from stand_ins import three_class_detector

from fcos_d2 import model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.checkpoint.classes import rows_by_name

LOGITS = "proposal_generator.fcos_head.cls_logits"


def head(bias, weight=None):
    bias = torch.tensor(bias, dtype=torch.float32)
    weight = bias if weight is None else torch.tensor(weight, dtype=torch.float32)
    return {f"{LOGITS}.weight": weight[:, None, None, None], f"{LOGITS}.bias": bias}


def test_rows_of_one_head():
    """cat 1, dog 2, cow 3 become bird (as it was: 10), dog 2, cat 1."""
    fitted = rows_by_name(
        head([1, 2, 3]), head([10, 20, 30]), ["cat", "dog", "cow"], ["bird", "dog", "cat"]
    )
    assert fitted[f"{LOGITS}.bias"].tolist() == [10, 2, 1]
    assert fitted[f"{LOGITS}.weight"].flatten().tolist() == [10, 2, 1]


def test_a_second_stage_of_more_classes():
    """Its background comes last and stays last; a class has four rows of box regression. The first
    stage of one class, which tells objects from background, stays as it is.
    """
    stored = {
        **head([7]),
        "roi_heads.box_predictor.cls_score.bias": torch.tensor([1.0, 2.0, 99.0]),
        "roi_heads.box_predictor.bbox_pred.bias": torch.arange(8.0),
        "roi_heads.mask_head.predictor.bias": torch.tensor([1.0, 2.0]),
    }
    model = {
        **head([0]),
        "roi_heads.box_predictor.cls_score.bias": torch.full((4,), -1.0),
        "roi_heads.box_predictor.bbox_pred.bias": torch.full((12,), -1.0),
        "roi_heads.mask_head.predictor.bias": torch.full((3,), -1.0),
    }
    fitted = rows_by_name(stored, model, ["cat", "dog"], ["dog", "bird", "cat"])
    assert {key.removeprefix("roi_heads."): value.tolist() for key, value in fitted.items()} == {
        f"{LOGITS}.weight": [[[[7]]]],
        f"{LOGITS}.bias": [7],
        "box_predictor.cls_score.bias": [2, -1, 1, 99],
        "box_predictor.bbox_pred.bias": [4, 5, 6, 7, -1, -1, -1, -1, 0, 1, 2, 3],
        "mask_head.predictor.bias": [2, -1, 1],
    }


def test_the_names_of_a_real_second_stage():
    """Every layer with a row for each class is among those that are matched."""
    cfg = model_zoo.get_config("TwoStage/MaskRCNN-R50-FCOS-1x")
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", "MODEL.ROI_BOX_HEAD.FC_DIM", 8])
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 5
    few = build_model(cfg).state_dict()
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 7
    many = build_model(cfg).state_dict()
    fitted = rows_by_name(few, many, list("abcde"), list("abcdefg"))
    changed = [key for key in few if few[key].shape != many[key].shape]
    assert len(changed) >= 4
    assert all(fitted[key].shape == many[key].shape for key in changed)


def test_class_agnostic_regression_stays():
    key = "roi_heads.box_predictor.0.bbox_pred.bias"
    state = {key: torch.arange(4.0)}
    assert rows_by_name(state, state, ["cat", "dog"], ["dog", "cat"])[key].tolist() == [0, 1, 2, 3]


def bias_of(model):
    return model.state_dict()[f"{LOGITS}.bias"]


@pytest.fixture
def folder(tmp_path, tiny_backbone):
    """model.pth: cat 1, dog 2, cow 3."""
    model = three_class_detector(tiny_backbone)
    bias_of(model).copy_(torch.tensor([1.0, 2.0, 3.0]))
    FCOSCheckpointer(model, str(tmp_path), class_names=["cat", "dog", "cow"]).save("model")
    return tmp_path


def load(folder, tiny_backbone, class_names):
    model = three_class_detector(tiny_backbone)
    checkpointer = FCOSCheckpointer(model, class_names=class_names)
    checkpointer.load(str(folder / "model.pth"))
    return model, checkpointer.report


def test_loading_keeps_classes_by_name_and_says_which(folder, tiny_backbone):
    """As many classes as in the file, so that nothing but the names tells them apart."""
    model, report = load(folder, tiny_backbone, ["bird", "cow", "cat"])
    assert bias_of(model)[1:].tolist() == [3, 1]
    assert bias_of(model)[0].item() == pytest.approx(-4.595, abs=1e-3)  # log(0.01 / 0.99): new
    assert report.complete
    assert (
        "classes by name, 2 from the file: cow, cat; new: bird; of the file only: dog"
        in str(report).splitlines()[-1]
    )


@pytest.mark.parametrize("class_names", [None, ["cat", "dog", "cow"]])
def test_the_same_classes_or_unknown_ones_load_as_they_are(folder, tiny_backbone, class_names):
    model, report = load(folder, tiny_backbone, class_names)
    assert bias_of(model).tolist() == [1, 2, 3]
    assert not report.notes
