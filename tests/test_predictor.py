import cv2
import numpy as np
import pytest
import torch

from fcos_d2 import Predictor, model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.data.image import ImageError

OPTS = ["MODEL.FCOS.NUM_CLASSES", "2", "MODEL.DEVICE", "cpu"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A detector whose random head gives a spread of scores on both sides of 0.5."""
    torch.manual_seed(1)
    model = model_zoo.get_model("Recipes/R18-Scratch", OPTS)
    head = model.proposal_generator.fcos_head
    torch.nn.init.normal_(head.cls_logits.weight, std=1.0)
    torch.nn.init.constant_(head.cls_logits.bias, -1.0)
    torch.nn.init.constant_(head.bbox_pred.bias, 2.0)
    folder = tmp_path_factory.mktemp("weights")
    FCOSCheckpointer(model, str(folder), class_names=["cat", "dog"]).save("model")
    return str(folder / "model.pth")


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)


def assert_same(a, b):
    torch.testing.assert_close(a.pred_boxes.tensor, b.pred_boxes.tensor)
    torch.testing.assert_close(a.scores, b.scores)
    assert a.pred_classes.tolist() == b.pred_classes.tolist()


def test_class_names_come_from_the_checkpoint(weights):
    assert Predictor("Recipes/R18-Scratch", weights, opts=OPTS).class_names == ["cat", "dog"]


def test_threshold_reaches_fcos(weights, image):
    """A threshold on the score is the same as dropping what scores less afterwards."""
    opts = [*OPTS, "MODEL.FCOS.POST_NMS_TOPK_TEST", "0"]
    everything, some = (
        Predictor("Recipes/R18-Scratch", weights, confidence_threshold=threshold, opts=opts)(image)
        for threshold in (0, 0.5)
    )
    assert 0 < len(some) < len(everything)
    assert_same(some, everything[everything.scores > 0.5])


def test_path_and_array_agree(weights, image, tmp_path):
    predictor = Predictor("Recipes/R18-Scratch", weights, opts=OPTS)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image)
    found = predictor(path)
    assert_same(found, predictor(image))
    assert found.image_size == (120, 200)
    boxes = found.pred_boxes.tensor
    assert (boxes[:, 2] <= 200).all() and (boxes[:, 3] <= 120).all() and (boxes >= 0).all()


def test_batch_equals_single_images(weights, image):
    predictor = Predictor("Recipes/R18-Scratch", weights, opts=OPTS)
    flipped = np.ascontiguousarray(image[:, ::-1])
    for together, alone in zip(
        predictor.predict_batch([image, flipped]), map(predictor, (image, flipped)), strict=True
    ):
        assert_same(together, alone)


def test_yaml_and_python_config_agree(tmp_path, image):
    torch.manual_seed(1)
    model = model_zoo.get_model("FCOS-RT/R50", ["MODEL.DEVICE", "cpu"])
    torch.nn.init.constant_(model.proposal_generator.fcos_head.cls_logits.bias, -1.0)
    torch.nn.init.constant_(model.proposal_generator.fcos_head.bbox_pred.bias, 2.0)
    FCOSCheckpointer(model, str(tmp_path)).save("model")
    by_yaml = Predictor("FCOS-RT/R50", str(tmp_path / "model.pth"), device="cpu")
    by_python = Predictor("lazy/FCOS-RT/R50", str(tmp_path / "model.pth"), device="cpu")
    assert by_yaml.class_names == by_python.class_names
    assert by_yaml.class_names[:2] == ["person", "bicycle"]
    found = by_yaml(image)
    assert len(found) > 0
    assert_same(found, by_python(image))


def test_mistakes_are_named(weights, image, tmp_path):
    with pytest.raises(ValueError, match="confidence_threshold must be in .* got 1.5"):
        Predictor("Recipes/R18-Scratch", weights, confidence_threshold=1.5, opts=OPTS)
    with pytest.raises(ValueError, match="gone.pth: no such checkpoint"):
        Predictor("Recipes/R18-Scratch", "gone.pth", opts=OPTS)
    with pytest.raises(ValueError, match="no weights given"):
        Predictor("Recipes/R18-Scratch", opts=OPTS)
    with pytest.raises(ValueError, match="model.pth: .* not in it.*config"):
        Predictor("FCOS-RT/R50", weights, device="cpu")
    with pytest.raises(ValueError, match="model.pth: 2 parts .*cls_logits"):
        Predictor("Recipes/R18-Scratch", weights, device="cpu")  # 80 classes, the file has 2
    predictor = Predictor("Recipes/R18-Scratch", weights, opts=OPTS)
    with pytest.raises(ValueError, match=r"BGR uint8 array .* got float64 \(4, 4, 3\)"):
        predictor(np.zeros((4, 4, 3)))
    with pytest.raises(ImageError, match="absent.png"):
        predictor(tmp_path / "absent.png")
